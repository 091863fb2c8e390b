//! VP9 payloads (RFC 9628 §4.2) as libwebrtc's sender writes and its receiver reads them: layers in
//! flexible mode by reference indices, else by the groups of pictures of the scalability structure.

use super::codec::{Claim, Seen, fill};
use super::{REFERENCES_MAX, Rtp, Stamp};

/// Pictures of one group at most: those of the temporal patterns.
pub const GROUP_MAX: usize = 4;

/// What the packets of a layer frame say of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    /// Picture id, 15 bits.
    pub picture_id: u16,
    /// Temporal layer, U, spatial layer, D: as in the descriptor.
    pub layer: Layer,
    /// F: P_DIFF instead of groups of pictures.
    pub flexible: bool,
    /// TL0PICIDX, in the non-flexible mode.
    pub tl0: u8,
    /// P: the frame builds on earlier pictures, so many back each (0: none).
    pub back: [u8; REFERENCES_MAX],
    /// Z: the layer above of the same picture does not build on it.
    pub not_below: bool,
    /// V: the scalability structure.
    pub structure: Option<Structure>,
}

/// The layer indices.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Layer {
    /// TID.
    pub temporal: u8,
    /// U: from here on one may switch up to all temporal layers.
    pub switching_up: bool,
    /// SID.
    pub spatial: u8,
    /// D: builds on the spatial layer below.
    pub on_below: bool,
}

/// The scalability structure: sizes and, in the non-flexible mode, the group of pictures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Structure {
    /// Spatial layers.
    pub layers: u8,
    /// Size of the largest in pixels; each one below has half of it.
    pub size: (u16, u16),
    /// Temporal layer, U, and pictures back of each picture of the group; `None` after the last.
    pub group: [Option<Place>; GROUP_MAX],
}

/// A picture's place in the group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// Temporal layer.
    pub temporal: u8,
    /// U.
    pub switching_up: bool,
    /// What it builds on, so many pictures back each (0: none).
    pub back: [u8; REFERENCES_MAX],
}

/// Appends one packet's worth of a layer frame, `bytes` long with the stamp.
pub fn write(out: &mut Vec<u8>, marks: &Marks, stamp: &Stamp, bytes: usize) {
    let start = out.len();
    let (first, last) = (stamp.part == 0, stamp.part + 1 == stamp.parts);
    let structure = marks.structure.filter(|_| first);
    let inter = marks.back.iter().any(|&back| back > 0);
    out.push(
        0x80 | u8::from(inter) << 6
            | 0x20
            | u8::from(marks.flexible) << 4
            | u8::from(first) << 3
            | u8::from(last) << 2
            | u8::from(structure.is_some()) << 1
            | u8::from(marks.not_below),
    );
    out.extend((marks.picture_id | 0x8000).to_be_bytes());
    let layer = marks.layer;
    out.push(
        layer.temporal << 5
            | u8::from(layer.switching_up) << 4
            | layer.spatial << 1
            | u8::from(layer.on_below),
    );
    if !marks.flexible {
        out.push(marks.tl0);
    } else if inter {
        write_back(out, &marks.back);
    }
    if let Some(structure) = structure {
        write_structure(out, &structure);
    }
    fill(out, start, stamp, bytes);
}

/// P_DIFF of the flexible mode: each with a bit that says whether another one follows.
fn write_back(out: &mut Vec<u8>, back: &[u8]) {
    let mut rest = back.iter().filter(|&&back| back > 0).peekable();
    while let Some(back) = rest.next() {
        out.push(back << 1 | u8::from(rest.peek().is_some()));
    }
}

fn write_structure(out: &mut Vec<u8>, structure: &Structure) {
    let group = || structure.group.iter().flatten();
    let has_group = group().next().is_some();
    out.push((structure.layers - 1) << 5 | 0x10 | u8::from(has_group) << 3);
    for layer in 0..structure.layers {
        let down = structure.layers - 1 - layer;
        out.extend((structure.size.0 >> down).to_be_bytes());
        out.extend((structure.size.1 >> down).to_be_bytes());
    }
    if !has_group {
        return;
    }
    out.push(group().count() as u8);
    for place in group() {
        let back = || place.back.iter().filter(|&&back| back > 0);
        let count = back().count() as u8;
        out.push(place.temporal << 5 | u8::from(place.switching_up) << 4 | count << 2);
        out.extend(back());
    }
}

/// Reads a payload written by [`write()`], wherever it went in between.
#[must_use]
pub fn read(packet: &Rtp<'_>) -> Option<Seen> {
    let mut bytes = packet.payload.iter().copied();
    let head = bytes.next()?;
    let flexible = head & 0x10 != 0;
    let inter = head & 0x40 != 0;
    if head & 0xa0 != 0xa0 {
        return None; // without picture id or layers, which all of ours have
    }
    let high = bytes.next()?;
    let picture_id = match high & 0x80 {
        0 => u16::from(high),
        _ => u16::from_be_bytes([high & 0x7f, bytes.next()?]),
    };
    let byte = bytes.next()?;
    let layer = Layer {
        temporal: byte >> 5,
        switching_up: byte & 0x10 != 0,
        spatial: byte >> 1 & 0x07,
        on_below: byte & 0x01 != 0,
    };
    let mut back = [0; REFERENCES_MAX];
    let mut tl0 = 0;
    if !flexible {
        tl0 = bytes.next()?;
    } else if inter {
        for place in &mut back {
            let byte = bytes.next()?;
            *place = byte >> 1;
            if byte & 1 == 0 {
                break;
            }
        }
    }
    let structure =
        if head & 0x02 == 0 { None } else { Some(Box::new(read_structure(&mut bytes)?)) };
    let start = head & 0x08 != 0;
    Some(Seen {
        start,
        end: head & 0x04 != 0,
        keyframe: start && !inter && layer.spatial == 0,
        claim: Claim::Vp9 { picture_id, layer, flexible, inter, tl0, back },
        structure,
        ..Seen::default()
    })
}

fn read_structure(bytes: &mut impl Iterator<Item = u8>) -> Option<Structure> {
    let head = bytes.next()?;
    let half = |bytes: &mut dyn Iterator<Item = u8>| {
        Some(u16::from_be_bytes([bytes.next()?, bytes.next()?]))
    };
    let mut structure = Structure { layers: (head >> 5) + 1, ..Structure::default() };
    if head & 0x10 != 0 {
        for _ in 0..structure.layers {
            structure.size = (half(bytes)?, half(bytes)?);
        }
    }
    let places = if head & 0x08 == 0 { 0 } else { bytes.next()? };
    for at in 0..usize::from(places) {
        let byte = bytes.next()?;
        let mut place =
            Place { temporal: byte >> 5, switching_up: byte & 0x10 != 0, ..Place::default() };
        for back in place.back.get_mut(..usize::from(byte >> 2 & 0x03))? {
            *back = bytes.next()?;
        }
        *structure.group.get_mut(at)? = Some(place);
    }
    Some(structure)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Datagram, RtpHeader, rtp};

    #[test]
    fn what_is_written_is_read() {
        let place = |temporal, back| Some(Place { temporal, switching_up: true, back });
        let structure = Structure {
            layers: 3,
            size: (1280, 720),
            group: [place(0, [2, 0, 0]), place(1, [1, 0, 0]), None, None],
        };
        for flexible in [true, false] {
            let layer = Layer { temporal: 1, switching_up: true, spatial: 2, on_below: true };
            let marks = Marks {
                picture_id: 0x7123,
                layer,
                flexible,
                tl0: if flexible { 0 } else { 77 },
                back: if flexible { [2, 1, 0] } else { [1, 0, 0] },
                not_below: true,
                structure: Some(structure),
            };
            let stamp = Stamp { parts: 1, ..Stamp::default() };
            let mut payload = Vec::new();
            write(&mut payload, &marks, &stamp, 100);
            let bytes = rtp(&RtpHeader::default(), &[], &payload, 0);
            let seen = read(&Rtp::read(Datagram::whole(&bytes)).unwrap()).unwrap();
            assert_eq!((seen.start, seen.end, seen.keyframe), (true, true, false));
            assert_eq!(seen.structure.as_deref(), Some(&structure));
            let back = if flexible { marks.back } else { [0; 3] };
            let tl0 = marks.tl0;
            let claim = Claim::Vp9 { picture_id: 0x7123, layer, flexible, inter: true, tl0, back };
            assert_eq!(seen.claim, claim);
        }
    }
}
