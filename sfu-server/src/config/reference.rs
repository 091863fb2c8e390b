//! `docs/configuration.md`, written from the types.

use std::fmt::Write as _;

use super::Flags;
use super::flags::variable;
use super::schema::{Kind, Node};

const HEAD: &str = "\
# Configuration

<!-- Written from the types in sfu-server/src/config by
     `SFU_BLESS=1 cargo test --release -p sfu-server --lib configuration_reference`. -->

Without any configuration `sfu` is a development server. Settings come from, the later ones winning:

1. the defaults below;
2. a TOML file: `--config FILE` or `SFU_CONFIG_FILE`;
3. the variable `SFU_CONFIG`: the text of such a file, for containers;
4. variables: `SFU__MEDIA__UDP_PORT=3478` is `media.udp_port = 3478`. Lists are separated by commas, \
or written as in TOML, as are tables;
5. flags, and the variables that the tables below name with them;
6. `--set media.udp_port=3478`, which reaches every setting.

An unknown name is an error that says which one was probably meant; all faults are reported at once, \
each with where it came from. `sfu config check` does no more than that, `sfu config print` shows the \
settings in force and the source of each. A setting marked *secret* is never shown, and has a twin of \
its name with `_file` at the end: the path of a file that holds it.

SIGHUP, or a change of the configuration file, reads everything again. Settings marked *reload* \
change at once; of others that differ the log says that they wait for the next start. If there is any \
fault nothing changes.
";

/// The whole page.
pub fn reference() -> String {
    let mut page = HEAD.to_owned();
    for (name, section) in Node::root().properties() {
        part(&name, &section, &mut page);
    }
    page
}

/// A section, and the tables within it after it.
fn part(path: &str, section: &Node, page: &mut String) {
    let is_inner = |node: &Node| node.has_properties();
    let item = |node: &Node| node.item().or_else(|| node.map_item()).filter(is_inner);
    let _ = write!(page, "\n## `[{path}]`\n\n{}\n", prose(section.description()));
    let plain: Vec<_> = section.properties().filter(|(_, node)| !is_inner(node)).collect();
    if !plain.is_empty() {
        page.push_str("\n| setting | type | default | meaning |\n|---|---|---|---|\n");
    }
    for (name, node) in &plain {
        row(path, name, node, page);
    }
    for (name, node) in section.properties().filter(|(_, node)| is_inner(node)) {
        part(&format!("{path}.{name}"), &node, page);
    }
    for (name, node) in plain {
        if let Some(inner) = item(&node) {
            let name = match node.kind() {
                Kind::List => format!("[{path}.{name}]"),
                _ => format!("{path}.{name}.<name>"),
            };
            part(&name, &inner, page);
        }
    }
}

fn row(path: &str, name: &str, node: &Node, page: &mut String) {
    let mut meaning = prose(node.description()).replace("\n\n", "<br>").replace('\n', " ");
    let choices = node.choices();
    for (word, what) in &choices {
        let what = prose(what).replace('\n', " ");
        let _ = write!(meaning, "<br>`{word}`{}{what}", if what.is_empty() { "" } else { ": " });
    }
    let setting = format!("{path}.{name}");
    if let Some((_, flag)) = Flags::by_setting().into_iter().find(|(of, _)| *of == setting) {
        let _ = write!(meaning, "<br>`--{flag}`, `{}`", variable(flag));
    }
    let mut kind = if choices.is_empty() { kind(node) } else { "word".to_owned() };
    if node.is_secret() {
        kind.push_str(", *secret*");
    }
    if node.reloads() {
        kind.push_str(", *reload*");
    }
    let default = node.default().map_or_else(|| "–".to_owned(), |value| format!("`{value}`"));
    let _ = writeln!(page, "| `{name}` | {kind} | {default} | {} |", meaning.replace('|', "\\|"));
}

fn kind(node: &Node) -> String {
    match node.kind() {
        Kind::Text => "text".to_owned(),
        Kind::Integer => "whole number".to_owned(),
        Kind::Number => "number".to_owned(),
        Kind::Boolean => "true or false".to_owned(),
        Kind::List => "list".to_owned(),
        Kind::Table => "table".to_owned(),
    }
}

/// A doc comment as a page has it: lines that were only broken for the source joined again.
fn prose(text: &str) -> String {
    let paragraphs = text.split("\n\n").map(|paragraph| paragraph.replace('\n', " "));
    paragraphs.collect::<Vec<_>>().join("\n\n")
}
