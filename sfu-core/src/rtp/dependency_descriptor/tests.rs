use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::*;

/// What Chromium sends on the first packet of a keyframe of AV1 in mode L3T3.
const L3T3: &str = "c1017280081485214eafffaaaa863cf0430c10c302afc0aaa0063c00430010c002a000a80006000040\
    001d954926e082b04a0941b820ac1282503157f974000ca864330e222222eca8655304224230eca8775300770042\
    00ef008601df010d";

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

fn indications(frame: &Frame) -> String {
    let sign = |target| match frame.indications.of(target) {
        Indication::NotPresent => '-',
        Indication::Discardable => 'D',
        Indication::Switch => 'S',
        Indication::Required => 'R',
    };
    (0..frame.structure.decode_targets).map(sign).collect()
}

#[test]
fn a_keyframe_of_chromium_is_read() {
    let mut reader = Reader::default();
    let descriptor = reader.read(&bytes(L3T3)).unwrap();
    assert!(descriptor.start_of_frame && descriptor.end_of_frame && descriptor.has_structure);
    assert_eq!(descriptor.frame_number, 0x172);
    let frame = descriptor.frame.unwrap();
    assert_eq!((frame.spatial, frame.temporal), (0, 0));
    assert_eq!(indications(&frame), "SSSSSSSSS");
    assert!(frame.references.is_empty());
    assert_eq!(frame.chain_differences.as_slice(), [0, 0, 0]);
    let structure = frame.structure;
    let layers = [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (2, 0), (2, 1), (2, 2)];
    assert_eq!(structure.targets.as_slice(), layers);
    assert_eq!(structure.protected_by.as_slice(), [0, 0, 0, 1, 1, 1, 2, 2, 2]);
    assert_eq!(structure.sizes.as_slice(), [(120, 67), (240, 135), (480, 270)]);
    // Whoever has S1T1 has S0T0, S0T1, S1T0 and itself.
    assert_eq!(structure.included[4], 0b0_0001_1011);
    assert_eq!(structure.included[8], structure.all());
}

#[test]
fn beyond_what_is_wanted_the_lowest_picture_comes_as_often_as_allowed() {
    let structure = Reader::default().read(&bytes(L3T3)).unwrap().frame.unwrap().structure;
    let layer = |spatial, temporal, among: u32| {
        let target = structure.target_for(spatial, temporal, among)?;
        Some(structure.targets[usize::from(target)])
    };
    assert_eq!(layer(1, 2, structure.all()), Some((1, 2)));
    assert_eq!(layer(1, 2, 0b1_1100_0111), Some((0, 2)), "what is within comes first");
    // Of k-SVC only the layer that was forwarded can go on; the rest has to wait for a keyframe.
    assert_eq!(layer(1, 2, 0b1_1100_0000), Some((2, 2)));
    assert_eq!(layer(1, 1, 0b1_1100_0000), Some((2, 1)));
    assert_eq!(layer(0, 0, 0b1_1111_0000), Some((1, 1)), "the least there is");
    assert_eq!(layer(1, 2, 0), None);
}

#[test]
fn later_frames_are_read_by_the_structure_and_the_mask_holds() {
    let mut reader = Reader::default();
    assert_eq!(reader.read(&bytes("860173")).unwrap().frame, None, "no structure yet");
    let structure = reader.read(&bytes(L3T3)).unwrap().frame.unwrap().structure;
    let upper = reader.read(&bytes("860173")).unwrap();
    assert!(upper.start_of_frame && !upper.end_of_frame && !upper.has_structure);
    let frame = upper.frame.unwrap();
    assert_eq!((frame.spatial, frame.temporal), (1, 0));
    assert_eq!(indications(&frame), "---SSSSSS");
    assert_eq!(frame.references.as_slice(), [1], "the frame below");
    assert_eq!((frame.active, frame.has_mask), (structure.all(), false));
    let masked = reader.read(&bytes("88017640fc")).unwrap().frame.unwrap();
    assert_eq!((masked.active, masked.has_mask), (0b11_1111, true), "two spatial layers are left");
    let next = reader.read(&bytes("8b0177")).unwrap().frame.unwrap();
    assert_eq!((next.active, next.has_mask), (0b11_1111, false), "which goes for later ones");
    let late = reader.read(&bytes("860173")).unwrap().frame.unwrap();
    assert_eq!(late.active, structure.all(), "but not for earlier ones");
}

#[test]
fn a_late_packet_is_read_by_the_structure_of_its_time() {
    let mut reader = Reader::default();
    let old = reader.read(&bytes(L3T3)).unwrap().frame.unwrap().structure;
    let template = |indications| Template { indications, ..Template::default() };
    let mut switch = Indications::default();
    switch.set(0, Indication::Switch);
    let plain = ArrayVec::new;
    let new = Structure::new(1, 1, vec![template(switch)], plain(), 0, ArrayVec::new());
    let draft = Draft {
        start_of_frame: true,
        end_of_frame: true,
        template: 0,
        frame_number: 0x180,
        structure: &new,
        attach: true,
        active: None,
        indications: None,
        references: None,
        chain_differences: None,
    };
    reader.read(&draft.write().unwrap()).unwrap();
    let late = reader.read(&bytes("860173")).unwrap().frame.unwrap();
    assert_eq!((late.structure, late.spatial), (old, 1));
    assert_eq!(reader.read(&bytes("860181")), None, "a template that is no more");
    assert_eq!(*reader.read(&bytes("810181")).unwrap().frame.unwrap().structure, new);
}

#[test]
fn every_cut_of_a_descriptor_is_refused_but_that_of_its_fixed_part() {
    let whole = bytes(L3T3);
    for cut in (0..whole.len() - 1).filter(|&cut| cut != 3) {
        assert_eq!(Reader::default().read(&whole[..cut]), None, "{cut} bytes");
    }
}

#[test]
fn number_and_mask_are_exchanged_and_nothing_else() {
    let mask = |at, replaces| Some(MaskEdit { active: 0b1_1011, decode_targets: 9, at, replaces });
    for (original, later) in [(L3T3, false), ("860173", true), ("88017640fc", true)] {
        let original = bytes(original);
        let mut reader = Reader::default();
        reader.read(&bytes(L3T3)).unwrap();
        let before = reader.read(&original).unwrap();
        let frame = before.frame.clone().unwrap();
        let mut out = Element::new();
        rewrite(&original, 0xabcd, mask(frame.mask_at, frame.has_mask), &mut out);
        let mut reader = Reader::default();
        if later {
            let mut structure = Element::new();
            rewrite(&bytes(L3T3), 0xabcc, None, &mut structure);
            reader.read(&structure).unwrap();
        }
        let after = reader.read(&out).unwrap();
        let edited = after.frame.clone().unwrap();
        assert_eq!((after.frame_number, edited.active, edited.has_mask), (0xabcd, 0b1_1011, true));
        let same = Frame { active: frame.active, has_mask: frame.has_mask, ..edited };
        let same = Descriptor { frame_number: before.frame_number, frame: Some(same), ..after };
        let moved = Frame { mask_at: same.frame.as_ref().unwrap().mask_at, ..frame };
        assert_eq!(same, Descriptor { frame: Some(moved), ..before });
    }
}

#[test]
fn a_mask_without_room_is_left_out() {
    let mut long = bytes(L3T3);
    long.resize(255, 0);
    let mask = MaskEdit { active: 1, decode_targets: 9, at: 100, replaces: false };
    let mut out = Element::new();
    rewrite(&long, 7, Some(mask), &mut out);
    assert_eq!((out.len(), &out[1..3], &out[3..]), (255, &[0, 7][..], &long[3..]));
    for short in [&[][..], &[0x80], &[0x80, 0, 1]] {
        rewrite(short, 7, Some(mask), &mut out);
        assert!(out.len() <= 6, "{short:?}");
    }
}

/// Templates as the wire can say them: layers that rise by one at a time.
fn structures() -> impl Strategy<Value = Structure> {
    let template = (vec(0..4u64, 32), vec(1..=16u16, 0..8), vec(0..16u8, 32), 0..3u8);
    let parts = (0..64u8, 1..=32u8, vec(template, 1..64), 0..33u8, vec(0..32u8, 32), any::<bool>());
    parts.prop_map(|(offset, targets, templates, chains, protected_by, sized)| {
        let chains = chains.min(targets);
        let (mut spatial, mut temporal) = (0, 0);
        let templates: Vec<Template> = templates
            .into_iter()
            .map(|(signs, references, differences, next)| {
                let mut indications = Indications::default();
                for (target, sign) in (0..targets).zip(signs) {
                    let all = [
                        Indication::NotPresent,
                        Indication::Discardable,
                        Indication::Switch,
                        Indication::Required,
                    ];
                    indications.set(target, all[sign as usize]);
                }
                let template = Template {
                    spatial,
                    temporal,
                    indications,
                    references: references.into_iter().collect(),
                    chain_differences: differences[..usize::from(chains)].iter().copied().collect(),
                };
                match next {
                    1 if temporal + 1 < LAYERS_MAX => temporal += 1,
                    2 if spatial + 1 < LAYERS_MAX => (spatial, temporal) = (spatial + 1, 0),
                    _ => {}
                }
                template
            })
            .collect();
        let highest = templates.last().map_or(0, |template| template.spatial);
        let protected_by = (0..targets)
            .filter(|_| chains > 0)
            .map(|target| protected_by[usize::from(target)] % chains.max(1))
            .collect();
        let sizes = (0..=highest).filter(|_| sized).map(|s| (160 << s, 90 << s)).collect();
        Structure::new(offset, targets, templates, protected_by, chains, sizes)
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read_again(
        structure in structures(),
        template in any::<prop::sample::Index>(),
        numbers in (any::<u16>(), any::<bool>(), any::<bool>()),
        active in option::of(any::<u32>()),
        references in option::of(vec(1..=4096u16, 0..8)),
        chains in option::of(vec(any::<u8>(), 32)),
        custom in option::of(any::<prop::sample::Index>()),
    ) {
        let template = template.index(structure.templates.len());
        let custom = custom.map(|at| structure.templates[at.index(structure.templates.len())].indications);
        let chains = chains.map(|chains| chains[..usize::from(structure.chains)].to_vec());
        let (frame_number, start_of_frame, end_of_frame) = numbers;
        let draft = Draft {
            start_of_frame,
            end_of_frame,
            template: template as u8,
            frame_number,
            structure: &structure,
            attach: true,
            active: active.map(|active| active & structure.all()),
            indications: custom,
            references: references.as_deref(),
            chain_differences: chains.as_deref(),
        };
        // Structures beyond what an element carries cannot be written.
        let Some(written) = draft.write() else { return Ok(()) };
        let mut reader = Reader::default();
        let read = reader.read(&written).unwrap();
        prop_assert_eq!(read.frame_number, frame_number);
        prop_assert_eq!((read.start_of_frame, read.end_of_frame), (start_of_frame, end_of_frame));
        let frame = read.frame.unwrap();
        let known = &structure.templates[template];
        prop_assert_eq!(&*frame.structure, &structure);
        prop_assert_eq!((frame.spatial, frame.temporal), (known.spatial, known.temporal));
        prop_assert_eq!(frame.active, draft.active.unwrap_or(structure.all()));
        prop_assert_eq!(frame.indications, custom.unwrap_or(known.indications));
        let references = references.as_deref().unwrap_or(&known.references);
        prop_assert_eq!(frame.references.as_slice(), references);
        let chains = chains.as_deref().unwrap_or(&known.chain_differences);
        prop_assert_eq!(frame.chain_differences.as_slice(), chains);
        // A later frame is read by it.
        let later = Draft { attach: false, frame_number: frame_number.wrapping_add(1), ..draft };
        let frame = reader.read(&later.write().unwrap()).unwrap().frame.unwrap();
        prop_assert_eq!(&*frame.structure, &structure);
    }

    #[test]
    fn any_bytes_are_survived_and_rewritten(
        packets in vec(vec(any::<u8>(), 0..120), 1..6),
        active: u32,
        spoil in option::of((any::<prop::sample::Index>(), any::<u8>())),
    ) {
        let mut reader = Reader::default();
        let mut first = bytes(L3T3);
        if let Some((at, with)) = spoil {
            let at = at.index(first.len());
            first[at] = with;
        }
        let mut out = Element::new();
        for packet in std::iter::once(first).chain(packets) {
            let Some(read) = reader.read(&packet) else { continue };
            let mask = read.frame.as_ref().map(|frame| MaskEdit {
                active: active & frame.structure.all(),
                decode_targets: frame.structure.decode_targets,
                at: frame.mask_at,
                replaces: frame.has_mask,
            });
            // Under its own number: it decides which structure is in force.
            rewrite(&packet, read.frame_number, mask, &mut out);
            let again = reader.clone().read(&out).unwrap();
            prop_assert_eq!(again.frame_number, read.frame_number);
            if let (Some(mask), Some(frame)) = (mask, again.frame) {
                prop_assert_eq!((frame.active, frame.has_mask), (mask.active, true));
            }
        }
    }
}
