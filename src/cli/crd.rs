//! `crd`: the definitions of the two kinds.

use std::path::PathBuf;

use clap::Args;

use super::{Failure, print};
use crate::api::crd;

#[derive(Args, Debug)]
pub struct Crd {
    /// Write one file for each definition into this folder instead of printing them.
    #[arg(long)]
    output_dir: Option<PathBuf>,
}

impl Crd {
    pub fn execute(self) -> Result<(), Failure> {
        for (name, manifest) in crd::manifests()? {
            match &self.output_dir {
                None => print(&format!("---\n{manifest}"))?,
                Some(folder) => {
                    let path = folder.join(name);
                    std::fs::write(&path, manifest).map_err(|source| Failure::Write { path, source })?;
                }
            }
        }
        Ok(())
    }
}
