//! The modules of `src` import one another in the order of `src/lib.rs` only. The sources are read token by token.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// Identifiers and single characters, without comments, texts and lifetimes. `::` is one token.
fn tokens(text: &str) -> Vec<String> {
    let chars: Vec<char> = text.chars().collect();
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let (mut tokens, mut at) = (Vec::new(), 0);
    while let Some(&c) = chars.get(at) {
        let rest = &chars[at..];
        let begins = |pattern: &str| pattern.chars().eq(rest.iter().copied().take(pattern.len()));
        let until =
            |end: char| rest.iter().skip(1).position(|other| *other == end).map_or(rest.len(), |skipped| skipped + 2);
        if begins("//") {
            at += until('\n');
        } else if begins("/*") {
            let text: String = rest.iter().collect();
            at += text.find("*/").map_or(rest.len(), |bytes| text[..bytes].chars().count() + 2);
        } else if c == '"' {
            at += 1;
            while let Some(&inner) = chars.get(at) {
                at += if inner == '\\' { 2 } else { 1 };
                if inner == '"' {
                    break;
                }
            }
        } else if c == '\'' {
            let is_char = rest.get(1) == Some(&'\\') || rest.get(2) == Some(&'\'');
            at += match (is_char, rest.get(1)) {
                (true, Some('\\')) => {
                    2 + rest.iter().skip(3).position(|other| *other == '\'').map_or(0, |skipped| skipped + 2)
                }
                (true, _) => 3,
                (false, _) => 1,
            };
        } else if c == 'r' && (begins("r\"") || begins("r#\"")) {
            let end = if begins("r#\"") { "\"#" } else { "\"" };
            let text: String = rest.iter().skip(3).collect();
            at += 3 + text.find(end).map_or(rest.len(), |bytes| text[..bytes].chars().count() + end.len());
        } else if is_word(c) {
            let word: String = rest.iter().copied().take_while(|c| is_word(*c)).collect();
            at += word.chars().count();
            tokens.push(word);
        } else if begins("::") {
            tokens.push("::".to_owned());
            at += 2;
        } else {
            if !c.is_whitespace() {
                tokens.push(c.to_string());
            }
            at += 1;
        }
    }
    tokens
}

/// The tokens without items under `#[cfg(test)]`, and the names of the modules among those items.
fn without_tests(tokens: &[String]) -> (Vec<String>, Vec<String>) {
    let cfg = ["#", "[", "cfg", "(", "test", ")", "]"];
    let (mut left, mut modules, mut at) = (Vec::new(), Vec::new(), 0);
    while at < tokens.len() {
        if !tokens[at..].iter().take(cfg.len()).eq(cfg.iter()) {
            left.push(tokens[at].clone());
            at += 1;
            continue;
        }
        at += cfg.len();
        let mut depth = 0_usize;
        if let Some(name) = tokens[at..]
            .iter()
            .take_while(|token| *token != ";" && *token != "{")
            .skip_while(|token| *token != "mod")
            .nth(1)
        {
            modules.push(name.clone());
        }
        while let Some(token) = tokens.get(at) {
            at += 1;
            match token.as_str() {
                "{" | "(" | "[" => depth += 1,
                "}" | ")" | "]" => depth -= 1,
                _ => {}
            }
            if depth == 0 && (token == ";" || token == "}") {
                break;
            }
        }
    }
    (left, modules)
}

/// The first name of each path that starts at the root of the crate. `depth` is how many modules the file is below the root.
fn imports(tokens: &[String], depth: usize) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (index, token) in tokens.iter().enumerate() {
        let mut at = match token.as_str() {
            "crate" => index + 1,
            "super" if index.checked_sub(1).is_none_or(|before| tokens[before] != "::") => {
                let supers = tokens[index..]
                    .chunks(2)
                    .take_while(|pair| pair[0] == "super" && pair.get(1).is_some_and(|next| next == "::"));
                let count = supers.count();
                if count != depth {
                    continue;
                }
                index + 2 * count - 1
            }
            _ => continue,
        };
        if tokens.get(at).is_none_or(|token| token != "::") {
            continue;
        }
        at += 1;
        if tokens.get(at).is_none_or(|token| token != "{") {
            found.extend(tokens.get(at).cloned());
            continue;
        }
        let (mut level, mut is_first) = (0_usize, false);
        for token in &tokens[at..] {
            match token.as_str() {
                "{" => (level, is_first) = (level + 1, level == 0),
                "}" => level -= 1,
                "," => is_first = level == 1,
                name if is_first && level == 1 => {
                    found.insert(name.to_owned());
                    is_first = false;
                }
                _ => {}
            }
            if level == 0 {
                break;
            }
        }
    }
    found
}

/// The files under a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    let below = entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] });
    below.filter(|path| path.extension().is_some_and(|extension| extension == "rs")).collect()
}

/// The product code of each file, by its path in `src` without the extension, such as `aws/mod`.
fn product() -> BTreeMap<String, Vec<String>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let (mut product, mut tests) = (BTreeMap::new(), Vec::new());
    for file in files(&root) {
        let path = file.strip_prefix(&root).expect("a path in src").with_extension("").display().to_string();
        let (code, modules) = without_tests(&tokens(&fs::read_to_string(&file).expect("text")));
        let folder = path.strip_suffix("/mod").unwrap_or(&path).to_owned();
        tests.extend(modules.into_iter().map(|module| format!("{folder}/{module}")));
        product.insert(path, code);
    }
    let is_test = |path: &str| tests.iter().any(|test| path == test || path.starts_with(&format!("{test}/")));
    product.retain(|path, _| !is_test(path));
    product
}

/// The modules in the order of `src/lib.rs`.
fn order(library: &[String]) -> Vec<String> {
    library.windows(3).filter(|three| three[0] == "mod" && three[2] == ";").map(|three| three[1].clone()).collect()
}

/// Each import against the order, as a sentence.
fn violations(product: &BTreeMap<String, Vec<String>>) -> Vec<String> {
    let order = order(&product["lib"]);
    let position = |module: &str| order.iter().position(|other| other == module);
    let mut violations = Vec::new();
    for (path, code) in product.iter().filter(|(path, _)| !["lib", "main"].contains(&path.as_str())) {
        let depth = path.strip_suffix("/mod").unwrap_or(path).split('/').count();
        let module = path.split('/').next().expect("a module");
        let own = position(module).unwrap_or_else(|| panic!("src/lib.rs does not name {module}"));
        let later = imports(code, depth).into_iter().filter(|name| position(name).is_some_and(|other| other > own));
        violations.extend(
            later.map(|name| format!("src/{path}.rs imports {name}, which comes after {module} in src/lib.rs")),
        );
    }
    violations
}

#[test]
fn a_module_imports_only_modules_that_come_before_it_in_lib_rs() {
    let product = product();
    assert!(order(&product["lib"]).len() > 15 && product.len() > 80, "{:?}", product.keys());
    let violations = violations(&product);
    assert!(violations.is_empty(), "{}", violations.join("\n"));
}

#[test]
fn only_the_command_line_knows_clap_and_only_the_sdk_folder_the_aws_sdk() {
    for (path, code) in product() {
        let uses = |is_it: &dyn Fn(&str) -> bool| code.iter().any(|token| is_it(token));
        assert!(
            path == "cli" || path.starts_with("cli/") || !uses(&|token| token == "clap"),
            "src/{path}.rs uses clap"
        );
        assert!(
            path.starts_with("aws/sdk/") || !uses(&|token| token.starts_with("aws_sdk_")),
            "src/{path}.rs uses the SDK"
        );
    }
}

#[test]
fn an_import_against_the_order_is_found_however_it_is_written() {
    let library = tokens("pub mod low; // pub mod comment;\npub mod high;");
    for (path, code, is_found) in [
        ("low", "use crate::high::X;", true),
        ("low", "use crate::{low::{high}, high::{X, Y}};", true),
        ("low/inner", "fn f() { super::super::high::f() }", true),
        ("low", "use super::high;", true),
        ("low", "const C: char = '\"'; use crate::high::X;", true),
        ("low", "use crate::{low::{high, x}};", false),
        ("low", "// crate::high\nconst T: &str = \"crate::high\"; const R: &str = r#\"crate::high \" x\"#;", false),
        ("low/inner", "use super::high;", false),
        ("low", "#[cfg(test)]\nmod tests { use crate::high::X; fn f() {} }", false),
        ("high", "use crate::low::X;", false),
    ] {
        let (code, _) = without_tests(&tokens(code));
        let product = BTreeMap::from([("lib".to_owned(), library.clone()), (path.to_owned(), code.clone())]);
        assert_eq!(!violations(&product).is_empty(), is_found, "{code:?}");
    }
}
