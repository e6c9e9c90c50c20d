//! The pages of docs/reference, written from the types that the operator decides by. `make reference` writes the files, and a
//! test compares them.

use std::{env, fs, path::Path};

mod conditions;
mod fields;
mod flags;
mod metrics;
mod policy;

/// File names and texts of all pages.
fn pages() -> [(&'static str, String); 5] {
    [
        ("conditions.md", conditions::page()),
        ("fields.md", fields::page()),
        ("flags.md", flags::page()),
        ("iam-policy.md", policy::page()),
        ("metrics.md", metrics::page()),
    ]
}

#[test]
fn the_pages_of_the_reference_are_those_that_the_code_writes() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/reference");
    let pages = pages();
    for (name, page) in &pages {
        if env::var_os("PGAI_WRITE_REFERENCE").is_some() {
            fs::write(folder.join(name), page).expect("a file");
        }
        let written = fs::read_to_string(folder.join(name)).unwrap_or_default();
        assert!(written == *page, "docs/reference/{name} is stale. Run: make reference");
    }
    let files = fs::read_dir(folder).expect("the folder").count();
    assert_eq!(files, pages.len(), "docs/reference has no other file");
}

/// A page: its title, the note that it is generated, and its sections.
fn document(title: &str, introduction: &str, sections: &[String]) -> String {
    let note = "<!-- Written by `make reference` from the code. A test fails when this page is stale. -->";
    format!("{note}\n\n# {title}\n\n{introduction}\n\n{}\n", sections.join("\n\n"))
}

/// A section with a heading.
fn section(heading: &str, parts: &[String]) -> String {
    format!("## {heading}\n\n{}", parts.join("\n\n"))
}

/// A table in Markdown.
fn table<const COLUMNS: usize>(heads: [&str; COLUMNS], rows: impl IntoIterator<Item = [String; COLUMNS]>) -> String {
    let row = |cells: &[String]| {
        let cells: Vec<String> = cells.iter().map(|cell| one_line(cell).replace('|', "\\|")).collect();
        format!("| {} |", cells.join(" | "))
    };
    let mut lines = vec![row(&heads.map(str::to_owned)), format!("|{}", "---|".repeat(COLUMNS))];
    lines.extend(rows.into_iter().map(|cells| row(&cells)));
    lines.join("\n")
}

/// The text without line breaks.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The text as code.
fn code(text: &str) -> String {
    if text.contains('`') { format!("`` {text} ``") } else { format!("`{text}`") }
}
