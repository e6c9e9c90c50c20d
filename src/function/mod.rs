//! The built-in handler, and its packaging.

use std::io::{Cursor, Write as _};

use zip::{CompressionMethod, DateTime, ZipWriter, result::ZipError, write::SimpleFileOptions};

use crate::aws::{Architecture, Package, Partition, Region};

/// The runtime of the built-in handler. The runtime includes the AWS SDK.
pub const RUNTIME: &str = "nodejs24.x";
/// File and export of the built-in handler.
pub const HANDLER: &str = "index.handler";

/// The built-in handler as a deployment package: the same bytes at every start, so that a restart changes no function.
///
/// # Errors
/// The zip library's.
pub fn built_in() -> Result<Package, ZipError> {
    package(&[("index.mjs", include_bytes!("handler/index.mjs"))])
}

/// A deterministic zip: files in the given order, without compression (compressed bytes would differ between versions of the
/// library), dated 1980, readable by all users.
///
/// # Errors
/// Two files of the same name, or files beyond zip's limits.
pub fn package(files: &[(&str, &[u8])]) -> Result<Package, ZipError> {
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Stored)
        .last_modified_time(DateTime::default())
        .unix_permissions(0o644);
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in files {
        zip.start_file(*name, options)?;
        zip.write_all(content)?;
    }
    Ok(Package::new(zip.finish()?.into_inner()))
}

/// The processor of functions in a region: arm64, which costs less, in the public regions; x86_64 in the partitions of China and
/// of GovCloud, where some regions do not offer arm64.
///
/// Source: Lambda developer guide, "Selecting and configuring an instruction set architecture".
pub fn architecture(region: &Region) -> Architecture {
    match region.partition() {
        Partition::Aws => Architecture::Arm64,
        Partition::AwsCn | Partition::AwsUsGov => Architecture::X86_64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_files_give_the_same_bytes_and_other_files_another_hash() {
        let one = package(&[("index.mjs", b"a")]).expect("a package");
        assert_eq!(one, package(&[("index.mjs", b"a")]).expect("a package"));
        assert_ne!(one.sha256(), package(&[("index.mjs", b"b")]).expect("a package").sha256());
        assert_eq!(
            one.sha256(),
            "inUYK9KcNkiBqzGfwadR7HivFAPqloJorE69u1Ve9TM=",
            "a new version of the zip library must not rewrite every function"
        );
    }

    #[test]
    fn the_package_of_the_built_in_handler_unpacks_to_its_source() {
        use std::io::Read as _;
        let package = built_in().expect("a package");
        let mut archive = zip::ZipArchive::new(Cursor::new(package.zip())).expect("a zip");
        let mut source = String::new();
        archive.by_name("index.mjs").expect("the handler").read_to_string(&mut source).expect("text");
        assert_eq!(source, include_str!("handler/index.mjs"));
        assert!(package.zip().len() < 50 * 1024 * 1024, "Lambda takes 50 MB in a call");
    }
}
