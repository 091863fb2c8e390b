//! [`Http`]: WHIP (RFC 9725) and WHEP from the client's side: one POST, one DELETE.

use std::time::Duration;

use anyhow::{Context as _, bail};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, LOCATION};
use reqwest::{Client, RequestBuilder, StatusCode, Url};

use crate::client::Setup;
use crate::fleet::{Fleet, Member};
use crate::sdp::Answer;

/// How long a request may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// A client of HTTP endpoints.
#[derive(Clone, Debug)]
pub struct Http {
    client: Client,
    bearer: Option<String>,
}

/// A session that was made by a POST.
pub struct HttpSession {
    /// The client in the fleet.
    pub member: Member,
    location: Url,
    http: Http,
}

impl Http {
    /// `bearer` is sent with each request (RFC 9725 §4.7).
    pub fn new(bearer: Option<String>) -> anyhow::Result<Self> {
        let client = Client::builder().no_proxy().timeout(PATIENCE).build()?;
        Ok(Self { client, bearer })
    }

    /// Posts the offer of `setup` and connects by the answer.
    pub async fn join(
        &self,
        fleet: &Fleet,
        endpoint: &Url,
        setup: Setup,
    ) -> anyhow::Result<HttpSession> {
        let request = self.client.post(endpoint.clone());
        let request = self.authorized(request).header(CONTENT_TYPE, "application/sdp");
        let response = request.body(setup.offer()).send().await?;
        let status = response.status();
        let location = response.headers().get(LOCATION).cloned();
        let body = response.text().await?;
        if status != StatusCode::CREATED {
            bail!("POST {endpoint}: {status}: {}", body.trim());
        }
        let location = location.context("201 without Location")?;
        let location = endpoint.join(location.to_str()?)?;
        let member = fleet.connect(setup, &Answer::read(&body)?).await?;
        Ok(HttpSession { member, location, http: self.clone() })
    }

    /// The text at `url`.
    pub async fn get(&self, url: &Url) -> anyhow::Result<String> {
        let response = self.authorized(self.client.get(url.clone())).send().await?;
        Ok(response.error_for_status()?.text().await?)
    }

    fn authorized(&self, request: RequestBuilder) -> RequestBuilder {
        match &self.bearer {
            Some(token) => request.header(AUTHORIZATION, format!("Bearer {token}")),
            None => request,
        }
    }
}

impl HttpSession {
    /// Ends the session by DELETE.
    pub async fn leave(self) -> anyhow::Result<()> {
        let request = self.http.client.delete(self.location.clone());
        let response = self.http.authorized(request).send().await?;
        if !response.status().is_success() {
            bail!("DELETE {}: {}", self.location, response.status());
        }
        Ok(())
    }
}
