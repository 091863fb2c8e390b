//! A received RTP packet (RFC 3550 §5.1) as a borrowed view: checked once, then only read.

use crate::drops::DropReason;
use crate::id::{PayloadType, Ssrc};

/// An RTP packet whose header, header extensions and padding are known to lie within it.
#[derive(Clone, Copy, Debug)]
pub struct RtpPacket<'a> {
    data: &'a [u8],
    header_bytes: usize,
    padding_bytes: usize,
    extensions: ExtensionBlock<'a>,
}

/// Length of the fixed header (RFC 3550 §5.1).
const FIXED_HEADER_BYTES: usize = 12;

impl<'a> RtpPacket<'a> {
    /// Checks a whole packet.
    ///
    /// # Errors
    /// [`DropReason::RtpMalformed`] for the fixed header and the CSRC list,
    /// [`DropReason::ExtensionMalformed`] for a header extension that runs past the packet or an
    /// element that runs past the extension, [`DropReason::RtpBadPadding`] for padding of length
    /// zero or longer than the payload.
    pub fn parse(data: &'a [u8]) -> Result<Self, DropReason> {
        let fixed = data.first_chunk::<FIXED_HEADER_BYTES>().ok_or(DropReason::RtpMalformed)?;
        if fixed[0] >> 6 != 2 {
            return Err(DropReason::RtpMalformed);
        }
        let has_padding = fixed[0] & 0x20 != 0;
        let has_extension = fixed[0] & 0x10 != 0;
        let csrc_count = usize::from(fixed[0] & 0x0f);

        let mut header_bytes = FIXED_HEADER_BYTES + 4 * csrc_count;
        let after_csrcs = data.get(header_bytes..).ok_or(DropReason::RtpMalformed)?;
        let mut extensions = ExtensionBlock { form: Form::None, elements: &[] };
        if has_extension {
            let (block, bytes) = ExtensionBlock::parse(after_csrcs)?;
            extensions = block;
            header_bytes += bytes;
        }

        let body = &data[header_bytes..];
        let padding_bytes = if has_padding { padding_of(body)? } else { 0 };
        Ok(Self { data, header_bytes, padding_bytes, extensions })
    }

    /// The payload type.
    #[must_use]
    pub fn payload_type(&self) -> PayloadType {
        PayloadType(self.data[1] & 0x7f)
    }

    /// The sequence number.
    #[must_use]
    pub fn sequence(&self) -> u16 {
        u16::from_be_bytes([self.data[2], self.data[3]])
    }

    /// The timestamp, in units of the codec's clock.
    #[must_use]
    pub fn timestamp(&self) -> u32 {
        u32::from_be_bytes([self.data[4], self.data[5], self.data[6], self.data[7]])
    }

    /// The source.
    #[must_use]
    pub fn ssrc(&self) -> Ssrc {
        Ssrc(u32::from_be_bytes([self.data[8], self.data[9], self.data[10], self.data[11]]))
    }

    /// The marker bit: for video the last packet of a frame, for audio the first after silence.
    #[must_use]
    pub fn marker(&self) -> bool {
        self.data[1] & 0x80 != 0
    }

    /// Length of everything before the payload, in bytes.
    #[must_use]
    pub fn header_bytes(&self) -> usize {
        self.header_bytes
    }

    /// The payload without its padding. Empty for a packet that is padding only.
    #[must_use]
    pub fn payload(&self) -> &'a [u8] {
        &self.data[self.header_bytes..self.data.len() - self.padding_bytes]
    }

    /// Length of the padding behind the payload, in bytes.
    #[must_use]
    pub fn padding_bytes(&self) -> usize {
        self.padding_bytes
    }

    /// The data of the first header extension element with this id (RFC 8285).
    #[must_use]
    pub fn extension(&self, id: u8) -> Option<&'a [u8]> {
        self.extensions().find(|&(other, _)| other == id).map(|(_, data)| data)
    }

    /// Every header extension element as (id, data), in the order of the packet. None for a
    /// header extension of neither form of RFC 8285.
    pub fn extensions(&self) -> impl Iterator<Item = (u8, &'a [u8])> + use<'a> {
        // Elements were checked by `parse`; the walk cannot meet an error any more.
        Elements { form: self.extensions.form, rest: self.extensions.elements }
            .map_while(Result::ok)
    }
}

/// Length of the padding at the end of `body`, which says so in its last byte (RFC 3550 §5.1).
fn padding_of(body: &[u8]) -> Result<usize, DropReason> {
    let bytes = usize::from(*body.last().ok_or(DropReason::RtpBadPadding)?);
    if bytes == 0 || bytes > body.len() { Err(DropReason::RtpBadPadding) } else { Ok(bytes) }
}

/// The elements of a header extension and how they are laid out.
#[derive(Clone, Copy, Debug)]
struct ExtensionBlock<'a> {
    form: Form,
    elements: &'a [u8],
}

/// The layouts of a header extension.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// Absent, or of a profile that this engine does not know.
    None,
    /// RFC 8285 §4.2.
    OneByte,
    /// RFC 8285 §4.3.
    TwoByte,
}

impl<'a> ExtensionBlock<'a> {
    /// Checks the header extension at the start of `data`; also gives its length in bytes.
    fn parse(data: &'a [u8]) -> Result<(Self, usize), DropReason> {
        let [p0, p1, l0, l1, rest @ ..] = data else { return Err(DropReason::ExtensionMalformed) };
        let bytes = 4 * usize::from(u16::from_be_bytes([*l0, *l1]));
        let elements = rest.get(..bytes).ok_or(DropReason::ExtensionMalformed)?;
        let form = match u16::from_be_bytes([*p0, *p1]) {
            0xbede => Form::OneByte,
            // The low four bits are "appbits", for the application to use.
            0x1000..=0x100f => Form::TwoByte,
            _ => Form::None,
        };
        for element in (Elements { form, rest: elements }) {
            element?;
        }
        Ok((Self { form, elements }, 4 + bytes))
    }
}

/// Id and data length of an element, and what follows them.
type Head<'a> = (u8, usize, &'a [u8]);

/// Walks the elements of a header extension; ends after the first error.
#[derive(Clone, Copy, Debug)]
struct Elements<'a> {
    form: Form,
    rest: &'a [u8],
}

impl<'a> Iterator for Elements<'a> {
    type Item = Result<(u8, &'a [u8]), DropReason>;

    fn next(&mut self) -> Option<Self::Item> {
        let (id, bytes, after) = match self.form {
            Form::None => return None,
            Form::OneByte => self.next_one_byte()?,
            Form::TwoByte => match self.next_two_byte()? {
                Ok(head) => head,
                Err(reason) => return Some(Err(reason)),
            },
        };
        let Some((data, rest)) = after.split_at_checked(bytes) else {
            self.rest = &[];
            return Some(Err(DropReason::ExtensionMalformed));
        };
        self.rest = rest;
        Some(Ok((id, data)))
    }
}

impl<'a> Elements<'a> {
    /// The head of the next element (RFC 8285 §4.2).
    fn next_one_byte(&mut self) -> Option<Head<'a>> {
        loop {
            let (&head, after) = self.rest.split_first()?;
            let id = head >> 4;
            let length = head & 0x0f;
            // A zero byte is padding. Id 0 with a length, and id 15, end the whole extension.
            if head == 0 {
                self.rest = after;
            } else if id == 0 || id == 15 {
                self.rest = &[];
            } else {
                return Some((id, usize::from(length) + 1, after));
            }
        }
    }

    /// The head of the next element (RFC 8285 §4.3).
    fn next_two_byte(&mut self) -> Option<Result<Head<'a>, DropReason>> {
        loop {
            let (&id, after) = self.rest.split_first()?;
            if id == 0 {
                self.rest = after;
                continue;
            }
            let Some((&length, after)) = after.split_first() else {
                self.rest = &[];
                return Some(Err(DropReason::ExtensionMalformed));
            };
            return Some(Ok((id, usize::from(length), after)));
        }
    }
}

#[cfg(test)]
mod tests;
