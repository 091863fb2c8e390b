use super::*;

/// A pair of files in a folder of its own, gone at the end.
struct Files(std::path::PathBuf);

impl Files {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("sfu-tls-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let files = Self(folder);
        files.renew();
        files
    }

    fn renew(&self) {
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(vec!["sfu.test".to_owned()]).unwrap();
        let certificate = params.self_signed(&key).unwrap();
        std::fs::write(self.0.join("cert.pem"), certificate.pem()).unwrap();
        std::fs::write(self.0.join("key.pem"), key.serialize_pem()).unwrap();
    }

    fn settings(&self) -> TlsSettings {
        TlsSettings {
            mode: TlsMode::Files,
            cert_file: Some(self.0.join("cert.pem")),
            key_file: Some(self.0.join("key.pem")),
            ..TlsSettings::default()
        }
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn a_renewed_certificate_gets_in_force_and_a_broken_one_does_not() {
    let files = Files::new("renewed");
    let settings = files.settings();
    let tls = Tls::new(&settings).unwrap().unwrap();
    let in_force = || tls.certificate.as_ref().unwrap().0.read().cert.clone();
    let first = in_force();
    assert!(!tls.renewal().reload(&settings).unwrap(), "the same files");
    files.renew();
    assert!(tls.renewal().reload(&settings).unwrap());
    let second = in_force();
    assert_ne!(first, second);
    std::fs::write(files.0.join("cert.pem"), "nonsense").unwrap();
    assert!(tls.renewal().reload(&settings).is_err());
    assert_eq!(in_force(), second, "the last good one stays");
}

#[test]
fn files_that_are_missing_or_no_pair_are_refused() {
    let (files, others) = (Files::new("pair"), Files::new("other"));
    let settings = TlsSettings { key_file: others.settings().key_file, ..files.settings() };
    let error = Tls::new(&settings).err().unwrap();
    assert!(format!("{error:#}").contains("do not belong together"), "{error:#}");
    let settings = TlsSettings { cert_file: Some(files.0.join("none.pem")), ..files.settings() };
    let error = Tls::new(&settings).err().unwrap();
    assert!(format!("{error:#}").contains("none.pem"), "{error:#}");
    std::fs::write(files.0.join("key.pem"), "").unwrap();
    assert!(Tls::new(&files.settings()).is_err());
}

#[test]
fn a_self_signed_certificate_names_this_machine() {
    let made = self_signed::make(&provider()).unwrap();
    let (_, certificate) = x509_parser::parse_x509_certificate(&made.cert[0]).unwrap();
    let names = certificate.subject_alternative_name().unwrap().unwrap();
    let names: Vec<String> = names.value.general_names.iter().map(ToString::to_string).collect();
    assert!(names.iter().any(|name| name.contains("localhost")), "{names:?}");
    assert!(names.iter().any(|name| name.contains("7f:00:00:01")), "{names:?}");
    assert!(certificate.validity().is_valid());
}
