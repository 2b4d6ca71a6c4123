//! `man`: the man pages: one for each command (section 1), `rosterd.toml` (5), and the pages of the manual (7).

mod settings;

use std::io;
use std::path::Path;

use clap::CommandFactory;

use super::args::Cli;
use crate::domain::error::{Error, Failure, LocalReason, Result};
use crate::domain::exit::Exit;
use crate::manual::{PAGES, roff};

/// What the directory is called in which man pages have a directory for each section.
const TREE: &str = "man";

/// `rosterd man`.
pub fn command(directory: &Path) -> Result<Exit> {
    write(directory).map_err(|error| {
        let place = directory.display();
        Failure::new(Error::Local(LocalReason::Io), format!("cannot write manual pages into {place}")).because(error)
    })?;
    Ok(Exit::Ok)
}

fn write(directory: &Path) -> io::Result<()> {
    let of_section = |section: &str| match directory.file_name() {
        Some(name) if name == TREE => directory.join(format!("man{section}")),
        _ => directory.to_path_buf(),
    };
    for section in ["1", "5", "7"] {
        std::fs::create_dir_all(of_section(section))?;
    }
    clap_mangen::generate_to(Cli::command(), of_section("1"))?;
    std::fs::write(of_section("5").join("rosterd.toml.5"), settings::page())?;
    PAGES.iter().map(roff::page).try_for_each(|(file, text)| std::fs::write(of_section("7").join(file), text))
}
