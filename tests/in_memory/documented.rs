//! What docs/reliability.md names is there, and every reason that waits has a bound.

use std::{collections::BTreeSet, fs, path::Path};

use private_genai_operator::api::condition::Reason;

/// All Rust sources under a folder, one after the other.
fn sources(folder: &Path) -> String {
    let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    let read = |path: std::path::PathBuf| match path.extension() {
        None if path.is_dir() => sources(&path),
        Some(extension) if extension == "rs" => fs::read_to_string(&path).expect("text"),
        _ => String::new(),
    };
    entries.map(read).collect()
}

#[test]
fn every_test_and_every_place_that_the_page_about_reliability_names_is_there() {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(repository.join("docs/reliability.md")).expect("the page");
    let tests = sources(&repository.join("tests"));
    let makefile = fs::read_to_string(repository.join("Makefile")).expect("a Makefile");
    let code: Vec<&str> = page.split('`').skip(1).step_by(2).collect();
    let is_test = |name: &&&str| {
        name.matches('_').count() > 3 && name.bytes().all(|byte| byte == b'_' || byte.is_ascii_alphanumeric())
    };
    let named: Vec<&&str> = code.iter().filter(is_test).collect();
    assert!(named.len() > 10, "the page names tests: {named:?}");
    for name in named {
        assert!(tests.contains(&format!("fn {name}(")), "no test {name}");
    }
    for target in code.iter().filter_map(|code| code.strip_prefix("make ")) {
        let target = target.split(' ').next().unwrap_or_default();
        assert!(makefile.contains(&format!("\n{target}:")), "no make {target}");
    }
    for place in code.iter().filter(|code| code.starts_with("tests/") || code.starts_with("src/")) {
        assert!(repository.join(place).exists(), "no {place}");
    }
}

#[test]
fn no_leg_waits_for_a_reason_without_a_bound() {
    let code = sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    let code = code.split("#[cfg(test)]").filter(|part| !part.trim_start().starts_with("mod tests {"));
    let mut found = BTreeSet::new();
    for part in code {
        for call in part.split("Leg::progressing(").skip(1) {
            // The arguments, up to the end of the statement.
            let arguments = call.split(';').next().unwrap_or_default();
            let name = arguments.split_once("Reason::").map(|(_, rest)| rest);
            let name = name.and_then(|rest| rest.split(|it: char| !it.is_ascii_alphanumeric()).next());
            found.extend(name.and_then(Reason::from_wire));
        }
    }
    assert!(found.len() > 10, "{found:?}");
    for reason in found {
        assert!(reason.wait().is_some(), "{reason} waits for ever");
    }
}
