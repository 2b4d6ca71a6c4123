//! Whose files are used: directories that others can write, files of other owners, links in the place of files.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::Path;

use crate::support::{Home, Sim};

/// Somebody else: nobody, on every Linux.
const OTHER: u32 = 65534;

fn home(sim: &Sim) -> Home {
    let home = Home::juno(&sim.juno());
    home.people(&["E1,Ann,Lee,ann@acme.example,,CEO,Bern,active"]);
    home
}

fn is_root(home: &Home) -> bool {
    fs::metadata(home.path()).expect("there").uid() == 0
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).expect("its mode");
}

/// Gives a directory and all that is in it away.
fn give(directory: &Path, owner: u32) {
    for entry in fs::read_dir(directory).expect("a directory") {
        chown(entry.expect("an entry").path(), Some(owner), Some(owner)).expect("given");
    }
    chown(directory, Some(owner), Some(owner)).expect("given");
}

#[test]
fn a_directory_that_others_can_write_is_refused_by_whoever_uses_the_state() {
    let sim = Sim::start();
    let home = home(&sim);
    home.run(&["sync"]).exits(0);
    let state = home.path().join("state");
    assert_eq!(fs::metadata(&state).expect("there").mode() & 0o777, 0o700, "as rosterd makes it");
    set_mode(&state, 0o777);
    let mark = sim.mark();
    let commands: [&[&str]; 9] = [
        &["sync"],
        &["plan"],
        &["status"],
        &["outcomes"],
        &["why", "staff", "E1"],
        &["reconcile"],
        &["state", "info"],
        &["state", "backup", "copy.db"],
        &["pause", "staff"],
    ];
    for command in commands {
        let ran = home.run(command).exits(77);
        assert!(
            ran.stderr.contains("help: chmod go-w /") && ran.stderr.contains("state, or"),
            "{command:?}: {}",
            ran.stderr
        );
    }
    assert_eq!(sim.since(mark).len(), 0);
    let warned = home.run(&["check"]).exits(0);
    assert!(warned.stdout.contains("chmod go-w"), "{}", warned.stdout);
    // Where nobody can replace what is ours, all is well: readable by others, or sticky.
    for mode in [0o755, 0o1777, 0o700] {
        set_mode(&state, mode);
        home.run(&["sync"]).exits(0);
        home.run(&["status"]).exits(0);
    }
}

#[test]
fn a_link_in_the_place_of_a_file_is_not_followed() {
    for name in ["rosterd.db.lock", "rosterd.db.epoch", "rosterd.db.rate", "rosterd.db-wal", "rosterd.db-shm"] {
        let sim = Sim::start();
        let home = home(&sim);
        home.run(&["sync"]).exits(0);
        home.write("victim", "dear to somebody");
        set_mode(&home.path().join("victim"), 0o600);
        let place = home.path().join("state").join(name);
        if place.exists() {
            fs::remove_file(&place).expect("removed");
        }
        symlink(home.path().join("victim"), &place).expect("a link");
        let mark = sim.mark();
        let ran = home.run(&["sync"]).exits(77);
        assert!(ran.stderr.contains(name) && ran.stderr.contains("symbolic link"), "{name}: {}", ran.stderr);
        assert_eq!(sim.since(mark).len(), 0, "{name}");
        assert_eq!(fs::read_to_string(home.path().join("victim")).expect("there"), "dear to somebody", "{name}");
    }
}

#[test]
fn a_database_behind_a_link_is_refused_and_a_directory_behind_one_is_not() {
    let sim = Sim::start();
    let home = home(&sim);
    fs::create_dir(home.path().join("real")).expect("made");
    symlink("real", home.path().join("state")).expect("a link");
    home.run(&["sync"]).exits(0);
    home.run(&["status"]).exits(0);
    let database = home.path().join("real/rosterd.db");
    fs::rename(&database, home.path().join("real/other.db")).expect("moved");
    symlink("other.db", &database).expect("a link");
    for command in ["sync", "plan", "status"] {
        let ran = home.run(&[command]).exits(77);
        assert!(ran.stderr.contains("symbolic link"), "{}", ran.stderr);
    }
}

#[test]
fn another_owner_s_database_is_refused() {
    let sim = Sim::start();
    let home = home(&sim);
    if !is_root(&home) {
        return; // only root can give files away
    }
    home.run(&["sync"]).exits(0);
    for name in ["rosterd.db", "rosterd.db.lock", "rosterd.db.epoch"] {
        let file = home.path().join("state").join(name);
        chown(&file, Some(OTHER), None).expect("given");
        let ran = home.run(&["sync"]).exits(77);
        assert!(ran.stderr.contains("belongs to another user"), "{name}: {}", ran.stderr);
        if name == "rosterd.db" {
            home.run(&["plan"]).exits(77);
            home.run(&["status"]).exits(77);
        }
        chown(&file, Some(0), None).expect("given back");
    }
    home.run(&["sync"]).exits(0);
}

#[test]
fn root_uses_another_user_s_state_and_leaves_nothing_of_root_s() {
    let sim = Sim::start();
    let home = home(&sim);
    if !is_root(&home) {
        return;
    }
    home.run(&["sync"]).exits(0);
    let state = home.path().join("state");
    give(&state, OTHER);
    for command in ["status", "plan", "outcomes", "reconcile"] {
        home.run(&[command]).exits(0);
    }
    fs::remove_file(state.join("rosterd.db.lock")).expect("removed");
    fs::remove_file(state.join("rosterd.db.epoch")).expect("removed");
    home.run(&["check", "--connect"]).exits(0);
    home.run(&["sync"]).exits(0);
    for entry in fs::read_dir(&state).expect("a directory") {
        let entry = entry.expect("an entry");
        assert_eq!(entry.metadata().expect("there").uid(), OTHER, "{:?}", entry.file_name());
    }
    // A state that root is the first to make belongs to the directory's owner as well.
    fs::remove_dir_all(&state).expect("removed");
    fs::create_dir(&state).expect("made");
    set_mode(&state, 0o700);
    give(&state, OTHER);
    home.run(&["sync"]).exits(0);
    assert_eq!(fs::metadata(home.database()).expect("there").uid(), OTHER);
}

#[test]
fn outcomes_are_appended_to_streams_and_files_and_not_through_links() {
    let sim = Sim::start();
    let home = home(&sim);
    home.write("victim", "dear to somebody\n");
    symlink(home.path().join("victim"), home.path().join("out.jsonl")).expect("a link");
    let ran = home.run(&["sync", "--outcomes", "out.jsonl"]).exits(77);
    assert!(ran.stderr.contains("name the file itself"), "{}", ran.stderr);
    assert_eq!(fs::read_to_string(home.path().join("victim")).expect("there"), "dear to somebody\n");
    let ran = home.run(&["sync", "--outcomes", "/dev/stdout"]).exits(0);
    assert!(ran.stdout.contains("\"key\":\"E1\""), "{}", ran.stdout);
    home.people(&["E1,Ann,Lee,ann@acme.example,,Chef,Bern,active"]);
    home.run(&["sync", "--outcomes", "plain.jsonl"]).exits(0);
    // A second run appends; a name that was mistyped spoils nothing.
    home.run(&["sync", "--outcomes", "plain.jsonl"]).exits(0);
    for dear in ["config/juno.token", "config/rosterd.toml", "state/rosterd.db"] {
        let before = std::fs::read(home.path().join(dear)).expect("a file");
        home.run(&["sync", "--outcomes", dear]).exits(64);
        assert!(std::fs::read(home.path().join(dear)).expect("a file").starts_with(&before[..before.len().min(100)]));
    }
    assert!(fs::read_to_string(home.path().join("plain.jsonl")).expect("there").contains("\"key\":\"E1\""));
}

#[test]
fn a_backup_does_not_follow_a_link_either() {
    let sim = Sim::start();
    let home = home(&sim);
    home.run(&["sync"]).exits(0);
    symlink(home.path().join("nowhere"), home.path().join("copy.db")).expect("a link");
    home.run(&["state", "backup", "copy.db"]).exits(64);
    assert!(!home.path().join("nowhere").exists());
}

#[test]
fn a_secret_is_read_through_links_and_judged_by_the_file_at_their_end() {
    let sim = Sim::start();
    let home = home(&sim);
    let token = home.path().join("config/juno.token");
    let real = home.path().join("config/..data.token");
    fs::rename(&token, &real).expect("moved");
    symlink("..data.token", &token).expect("as Kubernetes does");
    home.run(&["plan"]).exits(0);
    set_mode(&real, 0o644);
    let ran = home.run(&["plan"]).exits(77);
    let told = format!("{}{}", ran.stdout, ran.stderr);
    assert!(told.contains(&format!("chmod o-r {}", real.display())), "{told}");
}

#[test]
fn who_may_only_read_the_state_looks_into_it_all_the_same() {
    let sim = Sim::start();
    let home = home(&sim);
    home.run(&["sync"]).exits(0);
    let state = home.path().join("state");
    // What root may do says nothing: then somebody else looks, with a copy of the binary that they can reach.
    let root = is_root(&home);
    let binary = home.path().join("rosterd");
    fs::copy(home.command(&[]).get_program(), &binary).expect("copied");
    if root {
        give(&state, OTHER);
        give(&home.path().join("config"), OTHER);
        chown(home.path(), Some(OTHER), Some(OTHER)).expect("given");
    }
    set_mode(&state, 0o500);
    let commands: [&[&str]; 5] =
        [&["status"], &["plan"], &["outcomes"], &["why", "staff", "E1"], &["check", "--connect"]];
    for command in commands {
        let mut run = std::process::Command::new(if root { "setpriv" } else { "env" });
        if root {
            run.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
        }
        run.arg(&binary).arg("--config").arg(home.config()).args(command).current_dir(home.path());
        run.env("TMPDIR", home.path()).env("ROSTERD_TARGETS__JUNO__DAILY_QUOTA", "1000");
        crate::support::Ran::of(&run.output().expect("it runs")).exits(0);
    }
    set_mode(&state, 0o700);
    let left: Vec<_> = fs::read_dir(&state).expect("a directory").map(|e| e.expect("one").file_name()).collect();
    assert_eq!(left.len(), 4, "database, lock, mark and rate: {left:?}");
}
