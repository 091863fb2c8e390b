//! Many modules as one, so that a visitor asks for a few scripts and not for fifty. Modules are read
//! with a real parser; what stands at the top of each gets a name that no other module has, the
//! modules stand one after another in the order in which a browser would run them, and names across
//! them need no objects in between. What is made is minified as a whole (`minify`).

use std::collections::{BTreeMap, BTreeSet};

use oxc_allocator::Allocator;
use oxc_ast::ast::{
    BindingPattern, Declaration, Expression, ImportDeclarationSpecifier, ImportExpression, Program,
    Statement,
};
use oxc_ast_visit::{Visit, walk};
use oxc_codegen::{Codegen, CodegenOptions, CommentOptions};
use oxc_minifier::{CompressOptions, MangleOptions, Minifier, MinifierOptions};
use oxc_parser::Parser;
use oxc_semantic::SemanticBuilder;
use oxc_span::{SourceType, Span};

/// Modules by path from the page's folder.
#[derive(Default)]
pub(crate) struct Modules(BTreeMap<String, Module>);

struct Module {
    source: String,
    /// Paths of what it imports or hands on, in the order of its text.
    needs: Vec<String>,
    /// What it calls something, and where that comes from under which name.
    imports: BTreeMap<String, (String, String)>,
    exports: BTreeMap<String, Export>,
    /// Paths of what it loads late.
    late: BTreeSet<String>,
}

enum Export {
    /// By the name that it has in the module.
    Own(String),
    From(String, String),
}

/// What is sent as one file.
pub(crate) struct Chunk {
    pub(crate) url: String,
    /// Imported ones first.
    pub(crate) members: Vec<String>,
    /// Modules whose exports are this file's: what a user of it imports, or a late import takes.
    pub(crate) doors: Vec<String>,
}

impl Modules {
    /// # Panics
    /// On a module that is no module, and on forms that the page does not use: default exports,
    /// namespaces, `export *`.
    pub(crate) fn add(&mut self, path: &str, source: &str) {
        self.0.insert(path.to_owned(), Module::read(path, source));
    }

    pub(crate) fn contains(&self, path: &str) -> bool {
        self.0.contains_key(path)
    }

    /// The modules that `entries` need and `belongs` takes, imported ones first; what they load late
    /// comes last.
    ///
    /// # Panics
    /// If modules import each other in a circle.
    pub(crate) fn order(&self, entries: &[String], belongs: &dyn Fn(&str) -> bool) -> Vec<String> {
        let mut done = Vec::new();
        let mut waiting = entries.to_vec();
        while let Some(entry) = waiting.pop() {
            let before = done.len();
            self.visit(&entry, belongs, &mut Vec::new(), &mut done);
            let late = done[before..].iter().flat_map(|path| &self.0[path].late);
            waiting.extend(late.filter(|path| belongs(path)).cloned());
        }
        done
    }

    fn visit(
        &self,
        path: &str,
        belongs: &dyn Fn(&str) -> bool,
        way: &mut Vec<String>,
        done: &mut Vec<String>,
    ) {
        assert!(!way.iter().any(|each| each == path), "{way:?} and {path} import each other");
        if done.iter().any(|each| each == path) {
            return;
        }
        way.push(path.to_owned());
        let module = self.0.get(path).unwrap_or_else(|| panic!("{way:?} import what is not there"));
        for need in module.needs.iter().filter(|need| belongs(need)) {
            self.visit(need, belongs, way, done);
        }
        way.pop();
        done.push(path.to_owned());
    }

    /// What a name that a module exports is in the end: the module that has it, its name there.
    fn origin(&self, path: &str, name: &str) -> (String, String) {
        match self.0.get(path).and_then(|module| module.exports.get(name)) {
            Some(Export::Own(local)) => match self.0[path].imports.get(local) {
                Some((from, name)) => self.origin(from, name),
                None => (path.to_owned(), local.clone()),
            },
            Some(Export::From(from, name)) => self.origin(from, name),
            None => panic!("{path} exports no {name}"),
        }
    }

    /// A name for what is at the top of a module that nothing else has.
    fn unique(&self, path: &str, local: &str) -> String {
        let number = self.0.keys().take_while(|each| *each != path).count();
        format!("{local}${number}")
    }

    /// All files, minified. A module that several chunks hold is imported from the first of them by
    /// chunks that do not hold it.
    ///
    /// # Panics
    /// If two things of one name would leave a chunk.
    pub(crate) fn link(&self, chunks: &[Chunk]) -> Vec<String> {
        let linked: Vec<Linked> = chunks.iter().map(|chunk| self.linked(chunk, chunks)).collect();
        let mut out = Vec::new();
        for (chunk, own) in chunks.iter().zip(&linked) {
            let mut leaving: BTreeMap<String, String> = BTreeMap::new();
            let asked = linked.iter().flat_map(|each| &each.imports);
            let asked = asked.filter(|((url, _), _)| *url == chunk.url);
            let doors = chunk.doors.iter().flat_map(|door| {
                self.0[door].exports.keys().map(|name| {
                    let (path, local) = self.origin(door, name);
                    (name.clone(), self.unique(&path, &local))
                })
            });
            let asked = asked.map(|((_, name), unique)| (name.clone(), unique.clone()));
            for (name, unique) in asked.chain(doors) {
                let before = leaving.insert(name.clone(), unique.clone());
                let same = before.as_ref().is_none_or(|before| *before == unique);
                assert!(same, "{} would export {name} twice", chunk.url);
            }
            out.push(minify(&own.text(&leaving)));
        }
        out
    }

    /// What a late import of a module gives that is there already.
    fn present(&self, path: &str) -> String {
        let names = self.0[path].exports.keys().map(|name| {
            let (home, local) = self.origin(path, name);
            format!("{name}: {}", self.unique(&home, &local))
        });
        format!("Promise.resolve({{ {} }})", names.collect::<Vec<_>>().join(", "))
    }

    fn linked(&self, chunk: &Chunk, chunks: &[Chunk]) -> Linked {
        let mut linked = Linked { imports: BTreeMap::new(), bodies: String::new() };
        for path in &chunk.members {
            let module = &self.0[path];
            let mut names = BTreeMap::new();
            for (local, (from, name)) in &module.imports {
                let (home, inner) = self.origin(from, name);
                let unique = self.unique(&home, &inner);
                if !chunk.members.contains(&home) {
                    let other = chunks.iter().find(|other| other.members.contains(&home));
                    let other = other.unwrap_or_else(|| panic!("{path} needs {home}, in no file"));
                    linked.imports.insert((other.url.clone(), name.clone()), unique.clone());
                }
                names.insert(local.clone(), unique);
            }
            let late = |to: &str| {
                if chunk.members.iter().any(|member| member == to) {
                    return self.present(to);
                }
                let other = chunks.iter().find(|chunk| chunk.doors.iter().any(|door| door == to));
                let other = other.unwrap_or_else(|| panic!("{path} loads {to}, in no file"));
                format!("import('/{}')", other.url)
            };
            linked.bodies.push_str(&module.body(
                path,
                &|local| names.get(local).cloned().unwrap_or_else(|| self.unique(path, local)),
                &late,
            ));
        }
        linked
    }
}

struct Linked {
    /// URL and name there; what it is called here.
    imports: BTreeMap<(String, String), String>,
    bodies: String,
}

impl Linked {
    fn text(&self, leaving: &BTreeMap<String, String>) -> String {
        let mut by_url: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for ((url, name), unique) in &self.imports {
            by_url.entry(url).or_default().push(format!("{name} as {unique}"));
        }
        let imports = by_url
            .iter()
            .map(|(url, names)| format!("import {{ {} }} from '/{url}';\n", names.join(", ")));
        let names = leaving.iter().map(|(name, unique)| format!("{unique} as {name}"));
        let exports = format!("export {{ {} }};\n", names.collect::<Vec<_>>().join(", "));
        imports.collect::<String>() + &self.bodies + if leaving.is_empty() { "" } else { &exports }
    }
}

impl Module {
    fn read(path: &str, source: &str) -> Self {
        let allocator = Allocator::default();
        let program = parse(&allocator, path, source);
        let mut module = Self {
            source: source.to_owned(),
            needs: Vec::new(),
            imports: BTreeMap::new(),
            exports: BTreeMap::new(),
            late: BTreeSet::new(),
        };
        for statement in &program.body {
            match statement {
                Statement::ImportDeclaration(import) => {
                    let from = resolve(path, &import.source.value);
                    for specifier in import.specifiers.iter().flatten() {
                        let ImportDeclarationSpecifier::ImportSpecifier(one) = specifier else {
                            panic!("{path} imports other than by names from {from}");
                        };
                        let name = one.imported.name().to_string();
                        module.imports.insert(one.local.name.to_string(), (from.clone(), name));
                    }
                    module.needs.push(from);
                }
                Statement::ExportFromDeclaration(export) => {
                    let from = resolve(path, &export.source.value);
                    for each in &export.specifiers {
                        let there = Export::From(from.clone(), each.local.name().to_string());
                        module.exports.insert(each.exported.name().to_string(), there);
                    }
                    module.needs.push(from);
                }
                Statement::ExportNamedDeclaration(export) => {
                    for each in &export.specifiers {
                        let own = Export::Own(each.local.name().to_string());
                        module.exports.insert(each.exported.name().to_string(), own);
                    }
                }
                Statement::ExportDeclaration(export) => {
                    for name in declared(path, &export.declaration) {
                        module.exports.insert(name.clone(), Export::Own(name));
                    }
                }
                Statement::ExportDefaultDeclaration(_) | Statement::ExportAllDeclaration(_) => {
                    panic!("{path} exports other than by names");
                }
                _ => {}
            }
        }
        let mut late = Late { path, found: Vec::new() };
        late.visit_program(&program);
        module.late.extend(late.found.into_iter().map(|(_, to)| to));
        module
    }

    /// The module without imports and exports, and what is at its top named anew.
    fn body(
        &self,
        path: &str,
        name: &dyn Fn(&str) -> String,
        late: &dyn Fn(&str) -> String,
    ) -> String {
        let allocator = Allocator::default();
        let mut found = Late { path, found: Vec::new() };
        found.visit_program(&parse(&allocator, path, &self.source));
        let mut source = self.source.clone();
        for (span, to) in found.found.iter().rev() {
            source.replace_range(span.start as usize..span.end as usize, &late(to));
        }
        let mut program = parse(&allocator, path, &source);
        let mut scoping = SemanticBuilder::new().build(&program).semantic.into_scoping();
        let top: Vec<_> = scoping.iter_bindings_in(scoping.root_scope_id()).collect();
        for symbol in top {
            let unique = name(scoping.symbol_name(symbol));
            scoping.set_symbol_name(symbol, unique.as_str().into());
        }
        let body = oxc_allocator::Vec::new_in(&&allocator);
        let statements = std::mem::replace(&mut program.body, body);
        for statement in statements {
            match statement {
                Statement::ImportDeclaration(_)
                | Statement::ExportFromDeclaration(_)
                | Statement::ExportNamedDeclaration(_) => {}
                Statement::ExportDeclaration(export) => {
                    program.body.push(Statement::from(export.unbox().declaration));
                }
                other => program.body.push(other),
            }
        }
        Codegen::new().with_scoping(Some(scoping)).build(&program).code
    }
}

/// Finds `import('…')`: where, and the path that it leads to.
struct Late<'a> {
    path: &'a str,
    found: Vec<(Span, String)>,
}

impl<'a> Visit<'a> for Late<'_> {
    fn visit_import_expression(&mut self, it: &ImportExpression<'a>) {
        let Expression::StringLiteral(from) = &it.source else {
            panic!("{} loads what it computes", self.path);
        };
        self.found.push((it.span, resolve(self.path, &from.value)));
        walk::walk_import_expression(self, it);
    }
}

fn declared(path: &str, declaration: &Declaration<'_>) -> Vec<String> {
    match declaration {
        Declaration::VariableDeclaration(list) => {
            let names = list.declarations.iter().map(|each| match &each.id {
                BindingPattern::BindingIdentifier(id) => id.name.to_string(),
                _ => panic!("{path} exports a pattern"),
            });
            names.collect()
        }
        other => other.id().map(|id| vec![id.name.to_string()]).unwrap_or_default(),
    }
}

pub(crate) fn parse<'a>(allocator: &'a Allocator, path: &str, source: &'a str) -> Program<'a> {
    let parsed = Parser::new(allocator, source, SourceType::mjs()).parse();
    assert!(parsed.diagnostics.is_empty(), "{path}: {:?}", parsed.diagnostics);
    parsed.program
}

/// The same script, shorter. Everything that other scripts can name keeps its name.
fn minify(source: &str) -> String {
    let allocator = Allocator::default();
    let mut program = parse(&allocator, "a bundle", source);
    let options = MinifierOptions {
        mangle: Some(MangleOptions::default()),
        mangle_properties: None,
        compress: Some(CompressOptions::smallest()),
    };
    let minified = Minifier::new(options).minify(&allocator, &mut program);
    let mut code = Codegen::new()
        .with_options(CodegenOptions {
            minify: true,
            comments: CommentOptions::disabled(),
            ..CodegenOptions::default()
        })
        .with_scoping(minified.scoping);
    if let Some(mappings) = minified.class_private_mappings {
        code = code.with_private_member_mappings(Some(mappings));
    }
    code.build(&program).code
}

/// Where a specifier leads, as a path from the page's folder.
pub(crate) fn resolve(path: &str, from: &str) -> String {
    let mut folders: Vec<&str> = path.split('/').collect();
    folders.pop();
    for part in from.split('/') {
        match part {
            "." => {}
            ".." => drop(folders.pop()),
            part => folders.push(part),
        }
    }
    folders.join("/")
}
