//! A style sheet without what only its readers need: comments, line ends, and spaces beside
//! punctuation. Nothing is understood; the page has no strings in its styles in which that matters.

pub(crate) fn minify(source: &str) -> String {
    let mut bare = String::with_capacity(source.len());
    let mut rest = source;
    while let Some((before, after)) = rest.split_once("/*") {
        bare.push_str(before);
        rest = after.split_once("*/").map_or("", |(_, after)| after);
    }
    bare.push_str(rest);
    let mut out = String::with_capacity(bare.len());
    for word in bare.split_whitespace() {
        // A space before a colon begins a selector, one before a bracket a condition.
        let parted =
            out.ends_with(['{', '}', ';', ',', ':', '>']) || word.starts_with(['{', '}', '>']);
        if !out.is_empty() && !parted {
            out.push(' ');
        }
        out.push_str(word);
    }
    out.replace(";}", "}").replace(":0.", ":.").replace(" 0.", " .").replace(",0.", ",.")
}
