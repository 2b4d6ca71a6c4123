//! For whom `init` writes, and what it tells somebody to type, on machines that are made up.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use clap::Parser;

use super::next_steps::{self, Situation};
use super::{Handover, InitArgs, Kind, ask, delivered, for_service, target};
use crate::cli::args::{Cli, Command};
use crate::cli::service::{self, Service, Typed};
use crate::init::write::Place;
use crate::os::users::User;

/// A directory for a configuration, and an export that its owner alone can read.
struct Machine {
    home: tempfile::TempDir,
    service: Service,
}

impl Machine {
    fn new() -> Machine {
        let home = tempfile::tempdir().expect("a directory");
        let directory = home.path().canonicalize().expect("a path").join("etc");
        fs::create_dir(&directory).expect("a directory");
        let user = User { name: service::USER.into(), uid: 64_998, gid: 64_999 };
        let machine = Machine { home, service: Service { directory, user } };
        machine.file("people.csv");
        machine
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.path().canonicalize().expect("a path").join(name)
    }

    fn file(&self, name: &str) -> PathBuf {
        fs::write(self.path(name), "x").expect("written");
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(0o600)).expect("a mode");
        self.path(name)
    }

    /// What is printed after `init` with these arguments wrote for the service, and the inline table of `auth`; places are
    /// as on a real machine.
    fn told(&self, more: &[&str], typed: Typed) -> (Vec<String>, String) {
        let out = self.service.directory.display().to_string();
        let args = arguments(&[&["--out", &out], more].concat());
        let chosen = target::choose(&args, args.out(), Some(&self.service), ask::Asker::new(true)).expect("a target");
        let export = Place::File("../people.csv".into());
        let source = delivered(&self.service, &args, &export).map(|(_, handover)| handover);
        let path = self.service.directory.join("rosterd.toml");
        let situation = Situation {
            path: &path,
            args: &args,
            chosen: &chosen,
            service: Some((&self.service, typed)),
            source: source.as_ref(),
            is_diverted: false,
        };
        let shown = |text: String| {
            let text = text.replace(&out, "/etc/rosterd");
            text.replace(&self.home.path().canonicalize().expect("a path").display().to_string(), "/root")
        };
        (next_steps::text(&situation, false).into_iter().map(shown).collect(), chosen.target.auth)
    }
}

fn arguments(more: &[&str]) -> InitArgs {
    let typed = [&["rosterd", "init", "--source", "people.csv", "--yes"], more].concat();
    match Cli::try_parse_from(typed).expect("arguments").command {
        Command::Init(args) => *args,
        other => panic!("{other:?}"),
    }
}

#[test]
fn root_writes_for_the_service_unless_another_directory_is_named() {
    let machine = Machine::new();
    let installed = || Some(machine.service.clone());
    let there = machine.service.directory.display().to_string();
    for (more, installed, is_root, out, for_it, is_said) in [
        (&[][..], installed(), true, there.as_str(), true, true),
        (&[][..], installed(), false, ".", false, false),
        (&[][..], None, true, ".", false, false),
        (&["--out", "."][..], installed(), true, ".", false, false),
        (&["--out", &there][..], installed(), false, &there, true, false),
    ] {
        let (args, service, note) = for_service(arguments(more), installed, is_root);
        assert_eq!((args.out(), service.is_some()), (Path::new(out), for_it), "{more:?}");
        assert_eq!(note.is_some_and(|note| note.contains("--out")), is_said, "{more:?}");
    }
}

#[test]
fn what_root_types_for_the_service_is_told_line_by_line() {
    let (told, _) = Machine::new().told(&["--target", "juno"], Typed::ByRoot);
    let expected = [
        "",
        "First store the secret, for the service alone:",
        "  echo sandbox | install -o rosterd -m600 /dev/stdin /etc/rosterd/juno.token",
        "That is the sandbox's. A real one does not belong into the shell's history: type",
        "  install -o rosterd -m600 /dev/stdin /etc/rosterd/juno.token",
        "paste it, and end with Enter and Ctrl-D.",
        "",
        "The service can't read the export where it is. Bring it where it can:",
        "  install -g rosterd -m640 /root/people.csv /etc/rosterd/people.csv",
        "and have it delivered there from now on.",
        "",
        "In another terminal, run the simulated target:",
        "  rosterd sandbox",
        "",
        "Then look, as the user of the service. Nothing is written to the target:",
        "  runuser -u rosterd -- rosterd check --connect",
        "  runuser -u rosterd -- rosterd plan",
        "",
        "Change it once, and from then on every quarter of an hour:",
        "  runuser -u rosterd -- rosterd sync",
        "  systemctl enable --now rosterd",
        "  rosterd status",
        "",
        "`rosterd manual install` tells the rest.",
    ];
    assert_eq!(told, expected);
}

#[test]
fn through_sudo_every_command_is() {
    let (told, _) = Machine::new().told(&["--target", "juno"], Typed::WithSudo);
    let commands: Vec<&str> = told.iter().filter_map(|line| line.strip_prefix("  ")).collect();
    assert_eq!(commands.iter().filter(|command| command.contains("sudo ")).count(), commands.len() - 1, "{commands:?}");
    assert!(commands.contains(&"sudo -u rosterd rosterd plan") && commands.contains(&"rosterd sandbox"));
}

#[test]
fn commands_for_each_target_fit_80_columns() {
    let machine = Machine::new();
    for kind in ["juno", "juicebox", "longjump", "scim"] {
        for line in machine.told(&["--target", kind], Typed::ByRoot).0 {
            assert!(line.chars().count() <= 80, "{line}");
        }
    }
}

#[test]
fn a_secret_that_the_service_can_not_read_is_brought_to_it() {
    let machine = Machine::new();
    let token = machine.file("secret").display().to_string();
    let (told, auth) = machine.told(&["--target", "juno", "--token-file", &token], Typed::ByRoot);
    assert!(told.contains(&"  install -o rosterd -m600 /root/secret /etc/rosterd/secret".into()), "{told:?}");
    assert_eq!(auth, "{ kind = \"bearer\", token = { file = \"secret\" } }");
    assert!(!told.iter().any(|line| line.contains("/dev/stdin")), "{told:?}");
    // One that is root's and stands in its place already.
    machine.file("etc/juno.token");
    let (told, auth) = machine.told(&["--target", "juno"], Typed::ByRoot);
    assert!(told.contains(&"  chown rosterd /etc/rosterd/juno.token".into()), "{told:?}");
    assert_eq!(auth, "{ kind = \"bearer\", token = { file = \"juno.token\" } }");
    // That of an address.
    let args = arguments(&["--source-token-file", &token]);
    let url = Place::Url { url: "https://hr.example.com".into(), auth: None, pagination: None };
    let (place, handover) = delivered(&machine.service, &args, &url).expect("needed");
    let Place::Url { auth: Some(auth), .. } = place else { panic!("{place:?}") };
    assert_eq!(auth, "{ kind = \"bearer\", token = { file = \"secret\" } }");
    assert_eq!(handover.kind, Kind::Secret);
}

#[test]
fn a_variable_of_the_service_is_set_in_its_unit() {
    let (told, _) = Machine::new().told(&["--target", "juno", "--token-env", "JUNO"], Typed::WithSudo);
    for line in ["  sudo systemctl edit rosterd", "  [Service]", "  Environment=JUNO=…"] {
        assert!(told.contains(&line.into()), "{told:?}");
    }
}

#[test]
fn what_the_service_can_read_is_left_where_it_is() {
    let service = Machine::new().service;
    assert_eq!(Handover::needed(&service, Path::new("/etc/passwd"), Kind::Export), None);
    let hidden = tempfile::NamedTempFile::new_in("/tmp").expect("a file");
    fs::set_permissions(hidden.path(), fs::Permissions::from_mode(0o644)).expect("a mode");
    assert!(Handover::needed(&service, hidden.path(), Kind::Export).is_some());
}
