//! Texts of the page stand in objects, `strings.chat.send`, where people find them. Sent, each is a
//! constant of its own: names of objects and members are most of what a minifier cannot shorten.
//! Only an object that is asked for by a computed name stays one.

use std::collections::{BTreeMap, BTreeSet};

use oxc_allocator::Allocator;
use oxc_ast::ast::{
    Declaration, Expression, IdentifierReference, ImportSpecifier, ObjectExpression,
    ObjectPropertyKind, Statement, StaticMemberExpression,
};
use oxc_ast_visit::{Visit, walk};
use oxc_span::{GetSpan as _, Span};

use crate::bundle::{parse, resolve};

/// Replaces `export const <name> = {…}` of the module `home` by constants, and what the others
/// read of it by their names.
///
/// # Panics
/// If the object is used as a whole.
pub(crate) fn flatten(modules: &mut BTreeMap<String, String>, home: &str, name: &str) {
    let Some(texts) = modules.get(home).cloned() else { return };
    let mut uses = BTreeMap::new();
    let before = modules.clone();
    for (path, source) in before.iter().filter(|(path, _)| *path != home) {
        let found = Uses::of(path, source, home, name);
        if found.import.is_some() {
            uses.insert(path.clone(), found);
        }
    }
    let whole: BTreeSet<&str> = uses
        .values()
        .flat_map(|found| &found.read)
        .filter(|read| read.text.is_none())
        .map(|read| read.section.as_str())
        .collect();

    let (constants, sections) = constants(home, &texts, name, &whole);
    modules.insert(home.to_owned(), constants);
    for (path, found) in uses {
        let source = modules.get_mut(&path).expect("it was just read");
        let mut named = BTreeSet::new();
        let mut edits = Vec::new();
        for Read { section, text, at } in &found.read {
            let flat = sections.contains(section);
            let (constant, rest) = match text {
                Some(text) if flat => (format!("{name}_{section}_{text}"), String::new()),
                Some(text) => (format!("{name}_{section}"), format!(".{text}")),
                None => (format!("{name}_{section}"), String::new()),
            };
            edits.push((*at, format!("{constant}{rest}")));
            named.insert(constant);
        }
        let import = found.import.expect("only such were kept");
        edits.push((import, named.into_iter().collect::<Vec<_>>().join(", ")));
        edits.sort_by_key(|(at, _)| std::cmp::Reverse(at.start));
        for (at, text) in edits {
            source.replace_range(at.start as usize..at.end as usize, &text);
        }
    }
}

/// The module of texts as constants, and the sections that became several.
fn constants(
    home: &str,
    source: &str,
    name: &str,
    whole: &BTreeSet<&str>,
) -> (String, BTreeSet<String>) {
    let allocator = Allocator::default();
    let program = parse(&allocator, home, source);
    let object = program.body.iter().find_map(|statement| match statement {
        Statement::ExportDeclaration(export) => match &export.declaration {
            Declaration::VariableDeclaration(list) => list.declarations.first()?.init.as_ref(),
            _ => None,
        },
        _ => None,
    });
    let Some(Expression::ObjectExpression(object)) = object else {
        panic!("{home} exports no object")
    };
    let text = |at: Span| &source[at.start as usize..at.end as usize];
    let mut out = String::new();
    let mut flat = BTreeSet::new();
    for (section, value) in members(home, object) {
        match value {
            Expression::ObjectExpression(inner) if !whole.contains(section.as_str()) => {
                for (key, value) in members(home, inner) {
                    let value = text(value.span());
                    out.push_str(&format!("export const {name}_{section}_{key} = {value};\n"));
                }
                flat.insert(section);
            }
            value => {
                let value = text(value.span());
                out.push_str(&format!("export const {name}_{section} = {value};\n"));
            }
        }
    }
    (out, flat)
}

fn members<'a>(
    home: &str,
    object: &'a ObjectExpression<'a>,
) -> impl Iterator<Item = (String, &'a Expression<'a>)> {
    object.properties.iter().map(move |property| match property {
        ObjectPropertyKind::ObjectProperty(property) => {
            let key = property.key.static_name();
            (key.unwrap_or_else(|| panic!("{home} computes a name")).into_owned(), &property.value)
        }
        ObjectPropertyKind::SpreadProperty(_) => panic!("{home} spreads an object"),
    })
}

/// What one module reads of the texts.
struct Uses<'a> {
    path: &'a str,
    home: &'a str,
    name: &'a str,
    /// Where it imports them.
    import: Option<Span>,
    read: Vec<Read>,
}

struct Read {
    section: String,
    /// Absent where the section is used as an object, or is a text itself.
    text: Option<String>,
    at: Span,
}

impl<'a> Uses<'a> {
    fn of(path: &'a str, source: &str, home: &'a str, name: &'a str) -> Self {
        let mut uses = Self { path, home, name, import: None, read: Vec::new() };
        let allocator = Allocator::default();
        let program = parse(&allocator, path, source);
        let imports = program.body.iter().any(|statement| match statement {
            Statement::ImportDeclaration(it) => resolve(path, &it.source.value) == home,
            _ => false,
        });
        if imports {
            uses.visit_program(&program);
        }
        uses
    }

    /// The section, if this is one.
    fn section(&self, it: &StaticMemberExpression<'_>) -> Option<String> {
        let Expression::Identifier(object) = &it.object else { return None };
        (object.name == self.name).then(|| it.property.name.to_string())
    }
}

impl<'a> Visit<'a> for Uses<'_> {
    fn visit_import_specifier(&mut self, it: &ImportSpecifier<'a>) {
        if it.local.name == self.name {
            self.import = Some(it.span);
        }
    }

    fn visit_static_member_expression(&mut self, it: &StaticMemberExpression<'a>) {
        if let Some(section) = self.section(it) {
            self.read.push(Read { section, text: None, at: it.span });
        } else if let Expression::StaticMemberExpression(inner) = &it.object
            && let Some(section) = self.section(inner)
        {
            let text = Some(it.property.name.to_string());
            self.read.push(Read { section, text, at: it.span });
        } else {
            walk::walk_static_member_expression(self, it);
        }
    }

    fn visit_identifier_reference(&mut self, it: &IdentifierReference<'a>) {
        let (path, home) = (self.path, self.home);
        assert!(it.name != self.name, "{path} uses all texts of {home} at once");
    }
}
