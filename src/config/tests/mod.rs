//! The configuration as a whole: what people type, and what they are told.

mod kinds;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use secrecy::ExposeSecret;

use super::settings::{FormatSettings, JsonSettings, OnIncomplete, OnLeave, SourceKind, UnionSettings};
use super::*;
use crate::domain::exit::Exit;
use crate::domain::limits::Limit;
use crate::http::settings::AuthSettings;

/// The smallest configuration that does something, in three parts to be replaced one by one.
const STATE: &str = "[state]\npath = \"s.db\"\n";
const SOURCE: &str = "[sources.hr]\nkind = \"csv\"\npath = \"hr.csv\"\nkey = \"id\"\n";
const TARGET: &str = "[targets.juno]\nkind = \"juno\"\nbase_url = \"http://127.0.0.1:1/api/\"\n\
                      auth = { kind = \"bearer\", token = { env = \"ROSTERD_TOKEN\" } }\n";
const SYNC: &str = "[syncs.staff]\nsource = \"hr\"\ntarget = \"juno\"\n";
const MAP: &str =
    "[syncs.staff.map]\nclient_id = \"id\"\nemail = \"email\"\nfirst_name = \"first\"\nlast_name = \"last\"\n";

fn minimal() -> String {
    [STATE, SOURCE, TARGET, SYNC, MAP].concat()
}

fn write(dir: &Path, name: &str, text: &str, mode: u32) -> PathBuf {
    let path = dir.join(name);
    fs::write(&path, text).expect("written");
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("mode set");
    path
}

fn load_all(texts: &[&str], env: &[(&str, &str)]) -> Result<Loaded, Vec<Diagnostic>> {
    let dir = tempfile::tempdir().expect("a directory");
    let files: Vec<PathBuf> =
        texts.iter().enumerate().map(|(i, text)| write(dir.path(), &format!("{i}.toml"), text, 0o600)).collect();
    load(&files, env.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())))
}

fn load_text(text: &str) -> Result<Loaded, Vec<Diagnostic>> {
    load_all(&[text], &[])
}

/// The errors of a text as `line key: message [help]`.
fn errors(text: &str) -> Vec<String> {
    told(load_text(text).map(|_| ()).expect_err("errors"))
}

fn told(diagnostics: Vec<Diagnostic>) -> Vec<String> {
    let line = |d: &Diagnostic| d.line.map(|l| l.to_string()).unwrap_or_default();
    diagnostics
        .iter()
        .map(|d| format!("{} {}: {} [{}]", line(d), d.key, d.message, d.help.as_deref().unwrap_or_default()))
        .collect()
}

/// Asserts that a text has one error, which contains all of `parts`.
#[track_caller]
fn one_error(text: &str, parts: &[&str]) {
    let found = errors(text);
    assert_eq!(found.len(), 1, "{found:#?}");
    for part in parts {
        assert!(found[0].contains(part), "{part:?} is not in {found:#?}");
    }
}

#[test]
fn defaults_are_those_of_the_documentation() {
    let settings = load_text(&minimal()).expect("valid").settings;
    let both = |count, percent| Limit::AtMost { count: Some(count), percent: Some(percent) };
    assert_eq!(settings.state.keep_outcomes, Duration::from_secs(180 * 86_400));
    assert!(settings.server.is_none() && settings.notify.is_none());
    let source = &settings.sources["hr"];
    let SourceKind::File(csv) = &source.kind else { panic!("a file") };
    let FormatSettings::Csv(text) = &csv.format else { panic!("delimited text") };
    assert_eq!((text.delimiter, text.quote, text.encoding.as_str()), (b',', b'"', "utf-8"));
    assert_eq!((source.gate.min_records, source.gate.max_age), (1, None));
    assert_eq!((source.gate.max_shrink, source.gate.max_rejected), (both(10, 20), both(10, 5)));
    assert_eq!(source.gate.on_incomplete, OnIncomplete::Stop);
    let target = &settings.targets["juno"];
    assert_eq!(target.base_url.as_str(), "http://127.0.0.1:1/api", "no slash at the end");
    assert_eq!((target.rate.count, target.burst, target.concurrency), (10, 1, 8));
    assert_eq!((target.timeout.as_secs(), target.daily_quota), (30, None));
    assert_eq!((target.retry.attempts, target.retry.base.as_millis(), target.retry.max.as_secs()), (5, 500, 60));
    let sync = &settings.syncs["staff"];
    assert_eq!(sync.match_fields, ["email"]);
    assert_eq!((sync.on_leave, sync.leave_grace, sync.bans_first), (OnLeave::Ban, Duration::ZERO, true));
    assert_eq!((sync.max_flaps, sync.flap_window.as_secs()), (3, 30 * 86_400));
    let limits = &sync.limits;
    for unlimited in [limits.create, limits.update, limits.reinstate, limits.adopt] {
        assert_eq!(unlimited, Limit::Unlimited);
    }
    assert_eq!((limits.clear, limits.ban), (both(10, 5), both(10, 5)));
    assert_eq!((limits.ban_per_day, limits.failures), (both(30, 10), both(20, 10)));
}

#[test]
fn the_sample_is_right_and_warns_of_nothing() {
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/rosterd.toml");
    let loaded = load(&[sample], []).map_err(told).expect("the sample is right");
    assert_eq!(told(loaded.warnings), Vec::<String>::new());
    assert_eq!(loaded.settings.syncs["staff"].tests.len(), 2);
}

#[test]
fn every_mistake_is_told_at_once_with_its_line() {
    let text = "[state]\npth = \"s.db\"\n[sources.hr]\nkind = \"csv\"\nkey = 5\npath = \"x\"\n[targets.juno]\nkind = \"juno\"\n\
                base_url = \"http://127.0.0.1/\"\nrate = \"10/sec\"\ntimeot = \"1s\"\nauth = { kind = \"bearer\", token = { env = \"T\" } }\n\
                [syncs.staff]\nsource = \"hrr\"\ntarget = \"juno\"\non_leave = \"bann\"\n[syncs.staff.map]\nemial = \"e\"\nclient_id = \"i\"\n\
                [syncs.staff.limits]\nban = \"5 percent\"\n";
    let found = errors(text);
    let expected = [
        ("2 state.pth: unknown key `pth`", "did you mean `path`?"),
        ("5 sources.hr.key: text in quotes is wanted here, not a number", ""),
        ("10 targets.juno.rate: \"10/sec\" is not a rate", "10/s"),
        ("11 targets.juno.timeot: unknown key `timeot`", "did you mean `timeout`?"),
        ("14 syncs.staff.source: there is no source \"hrr\"", "did you mean `hr`?"),
        ("16 syncs.staff.on_leave: \"bann\" is not one of \"ban\", \"delete\", \"ignore\"", "did you mean `ban`?"),
        ("18 syncs.staff.map.emial", "did you mean `email`?"),
        ("21 syncs.staff.limits.ban: \"5 percent\" is not a limit", "5%"),
    ];
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for (start, help) in expected {
        assert!(found.iter().any(|f| f.starts_with(start) && f.contains(help)), "{start} is not in {found:#?}");
    }
}

#[test]
fn a_syntax_error_has_its_line_in_each_file() {
    let found = load_all(&["[state]\npath = \n", "a = 1\nb = [1\n"], &[]).expect_err("not TOML");
    let lines: Vec<_> = found.iter().map(|d| (d.file.ends_with("0.toml"), d.line.is_some())).collect();
    assert_eq!(lines, [(true, true), (false, true)]);
    assert_eq!(found[0].line, Some(2));
}

#[test]
fn a_missing_file_is_an_error_with_help() {
    let found = load(&[PathBuf::from("/nonexistent/r.toml")], []).expect_err("no file");
    assert!(found[0].file == "/nonexistent/r.toml" && found[0].help.is_some());
    assert_eq!(failure(&found).exit(), Exit::Config);
}

#[test]
fn later_files_win_and_paths_belong_to_their_file() {
    let first = tempfile::tempdir().expect("a directory");
    let second = tempfile::tempdir().expect("a directory");
    let files = [
        write(first.path(), "a.toml", &minimal(), 0o600),
        write(second.path(), "b.toml", "[sources.hr]\npath = \"other.csv\"\n[targets.juno]\nrate = \"500/s\"\n", 0o600),
    ];
    let settings = load(&files, []).map_err(told).expect("valid").settings;
    let SourceKind::File(csv) = &settings.sources["hr"].kind else { panic!("a file") };
    assert_eq!(csv.path, second.path().join("other.csv"));
    assert_eq!(settings.state.path, first.path().join("s.db"));
    assert_eq!(settings.targets["juno"].burst, 50, "a tenth of a second's worth");
}

#[test]
fn a_later_file_can_say_where_else_a_secret_is() {
    let over = "[targets.juno.auth]\ntoken = { file = \"t\" }\n";
    let settings = load_all(&[&minimal(), over], &[]).map_err(told).expect("valid").settings;
    let AuthSettings::Bearer(secret) = &settings.targets["juno"].auth else { panic!("bearer") };
    assert!(matches!(secret, crate::http::secret::Secret::File(path) if path.is_absolute()));
}

#[test]
fn the_environment_wins_and_finds_names_with_dashes() {
    let text = minimal().replace("juno]", "ju-no]").replace("\"juno\"\n[", "\"ju-no\"\n[");
    let env = [
        ("ROSTERD_TARGETS__JU_NO__RATE", "5/s"),
        ("ROSTERD_TARGETS__JU_NO__CONCURRENCY", "3"),
        ("ROSTERD_TARGETS__JU_NO__AUTH__TOKEN", "12345"),
        ("ROSTERD_SYNCS__STAFF__BANS_FIRST", "false"),
        ("ROSTERD_SYNCS__STAFF__LIMITS__BAN", "{ count = 3, percent = 1 }"),
        ("ROSTERD_CONFIG", "nothing to do with it"),
        ("ROSTERD_LOG_FORMAT", "json"),
        ("ROSTERD_TOKEN", "the secret that the file names"),
        ("PATH", "/bin"),
    ];
    let settings = load_all(&[&text], &env).map_err(told).expect("valid").settings;
    let target = &settings.targets["ju-no"];
    assert_eq!((target.rate.count, target.concurrency), (5, 3));
    let AuthSettings::Bearer(crate::http::secret::Secret::Literal(token)) = &target.auth else {
        panic!("{:?}", target.auth)
    };
    assert_eq!(token.expose_secret(), "12345", "digits are text where text is wanted");
    assert!(!settings.syncs["staff"].bans_first);
    assert_eq!(settings.syncs["staff"].limits.ban, Limit::AtMost { count: Some(3), percent: Some(1) });
}

#[test]
fn mistakes_in_the_environment_name_the_variable() {
    let env =
        [("ROSTERD_TARGETS__JUNO__RATE", "fast"), ("ROSTERD_TARGETS__JUNO__RAET", "1"), ("ROSTERD_STAET__X", "1")];
    let found = load_all(&[&minimal()], &env).expect_err("errors");
    let files: Vec<&str> = found.iter().map(|d| d.file.as_str()).collect();
    for (name, _) in env {
        assert!(files.contains(&format!("environment {name}").as_str()), "{found:#?}");
    }
    assert_eq!(found.len(), 3);
    assert!(load_all(&[&minimal()], &[("ROSTERD__X", "1")]).is_err());
}

#[test]
fn a_literal_secret_needs_a_file_that_others_cannot_read() {
    let dir = tempfile::tempdir().expect("a directory");
    let text = minimal().replace("{ env = \"ROSTERD_TOKEN\" }", "\"hunter2\"");
    for (mode, fine) in [(0o600, true), (0o640, true), (0o644, false), (0o604, false)] {
        let file = write(dir.path(), "r.toml", &text, mode);
        match load(&[file], []) {
            Ok(_) => assert!(fine, "{mode:o}"),
            Err(found) => {
                assert!(!fine, "{mode:o} {found:#?}");
                assert_eq!(failure(&found).exit(), Exit::Denied);
                assert!(found[0].help.as_deref().is_some_and(|h| h.contains("chmod")));
                assert!(!format!("{found:?} {}", failure(&found)).contains("hunter2"));
            }
        }
    }
}

#[test]
fn no_secret_is_told_whatever_is_wrong_with_it() {
    for wrong in [
        "auth = \"hunter2\"",
        "auth = { kind = \"bearer\", tokn = \"hunter2\" }",
        "auth = { kind = \"basic\", username = \"u\", token = \"hunter2\" }",
        "auth = { kind = \"bearer\", token = [\"hunter2\"] }",
        "auth = { kind = \"bearer\", token = { env = \"A\", file = \"hunter2\" } }",
        "base_url = \"https://user:hunter2@acme.com/\"\nauth = { kind = \"none\" }",
        "proxy = \"http://user:hunter2@acme.com/\"\nauth = { kind = \"none\" }",
        "token = \"hunter2\"",
    ] {
        let target = format!("[targets.juno]\nkind = \"juno\"\n{wrong}\n");
        let found = load_text(&[STATE, SOURCE, &target, SYNC, MAP].concat()).expect_err(wrong);
        assert!(!format!("{found:?} {}", failure(&found)).contains("hunter2"), "{wrong}: {found:#?}");
    }
}

#[test]
fn references_are_checked_with_the_nearest_name() {
    one_error(&minimal().replace("source = \"hr\"", "source = \"hrx\""), &["syncs.staff.source", "`hr`"]);
    one_error(&minimal().replace("target = \"juno\"", "target = \"jnuo\""), &["syncs.staff.target", "`juno`"]);
    let with = |line: &str| [STATE, SOURCE, TARGET, SYNC, line, MAP].concat();
    one_error(&with("match = [\"emial\"]\n"), &["14 syncs.staff.match.0", "`email`"]);
    one_error(&with("match = [\"phone\"]\n"), &["\"phone\" is not mapped"]);
    one_error(&with("release_on_ban = [\"emial\"]\n"), &["release_on_ban.0", "`email`"]);
    one_error(&with("timezone = \"Europe/Zurch\"\n"), &["timezone", "Europe/Zurich"]);
    one_error(&with("schedule = \"0 0 25 * * *\"\n"), &["schedule", "six fields"]);
    one_error(&with("schedule = \"0 0 0 30 2 *\"\n"), &["never due"]);
    one_error(&minimal().replace("kind = \"csv\"", "kind = \"cvs\""), &["sources.hr.kind", "`csv`"]);
    one_error(&minimal().replace("kind = \"juno\"", "kind = \"jumo\""), &["targets.juno.kind", "`juno`"]);
    one_error(&minimal().replace("[state]", "[State]\n[state]"), &["unknown key `State`"]);
}

#[test]
fn names_are_small_letters() {
    one_error(&minimal().replace("[syncs.staff", "[syncs.Staff"), &["\"Staff\" can't be a name"]);
}

#[test]
fn a_mapping_is_judged_against_the_catalogue_at_its_line() {
    let with = |line: &str| minimal() + line + "\n";
    one_error(&with("titel = \"t\""), &["19 syncs.staff.map.titel", "title"]);
    one_error(&with("id = \"t\""), &["19 syncs.staff.map.id"]);
    one_error(&with("account_level = { value = 7 }"), &["19 syncs.staff.map.account_level", "99"]);
    one_error(&with("account_level = { value = \"x\" }"), &["19 syncs.staff.map.account_level"]);
    one_error(&with("account_level = { value = 0, column = \"x\" }"), &["exactly one of"]);
    one_error(&with("account_level = { valu = 0 }"), &["did you mean `value`?", "valu"]);
    one_error(&with("dimensions.101 = \"x\""), &["dimensions", "quoted"]);
    one_error(
        &minimal().replace("email = \"email\"\n", "").replace("[syncs.staff.map]", "match = []\n[syncs.staff.map]"),
        &["15 syncs.staff.map.email", "email"],
    );
    let both = with("phone = \"p\"\n\"dimensions.5\" = \"p\"");
    assert!(!errors(&both).is_empty());
    let neither =
        minimal().replace("client_id = \"id\"\n", "").replace("[syncs.staff.map]", "match = []\n[syncs.staff.map]");
    one_error(&neither, &["which account", "client_id"]);
}

#[test]
fn expressions_are_judged_even_where_the_target_is_wrong() {
    let text = minimal()
        .replace("kind = \"juno\"", "kind = \"jumo\"")
        .replace("email = \"email\"", "email = { cel = \"f(\" }");
    let found = errors(&text);
    assert_eq!(found.len(), 2, "{found:#?}");
    assert!(found[1].starts_with("16 syncs.staff.map.email"), "{found:#?}");
}

#[test]
fn what_is_probably_not_meant_is_a_warning() {
    let text = minimal().replace("client_id = \"id\"", "client_id = \"other\"");
    let warnings = told(load_text(&text).map_err(told).expect("valid").warnings);
    assert!(warnings.len() == 1 && warnings[0].contains("mapped from \"other\""), "{warnings:#?}");
    let test = "[[syncs.staff.tests]]\nname = \"n\"\nrecord = { frist = \"A\" }\nexpect = { email = \"\" }\n";
    let warnings = told(load_text(&(minimal() + test)).map_err(told).expect("valid").warnings);
    assert!(warnings.len() == 1 && warnings[0].contains("`first`"), "{warnings:#?}");
}

#[test]
fn mapping_tests_expect_one_thing_about_mapped_fields() {
    let with = |test: &str| format!("{}[[syncs.staff.tests]]\nname = \"n\"\n{test}\n", minimal());
    assert!(load_text(&with("excluded = true")).is_ok());
    assert!(load_text(&with("rejected = \"email\"")).is_ok());
    one_error(&with(""), &["syncs.staff.tests.0", "exactly one thing"]);
    one_error(&with("excluded = true\nrejected = \"x\""), &["exactly one thing"]);
    one_error(&with("expect = { emial = \"x\" }"), &["21 syncs.staff.tests.0.expect.emial", "`email`"]);
}

mod fuzz {
    use super::*;
    use crate::domain::mutated;
    use proptest::prelude::*;

    /// The example that is to be copied, and what these tests type.
    fn texts() -> Vec<String> {
        vec![include_str!("../../../config/rosterd.toml").to_string(), minimal()]
    }

    proptest! {
        #![proptest_config(crate::domain::properties::cases(150))]

        #[test]
        fn no_configuration_makes_reading_panic(
            text in mutated::text_of(&texts().iter().map(String::as_str).collect::<Vec<_>>()),
            value in mutated::text_of(&["10/s", "5%", "{ a = 1 }", "18446744073709551616d"]),
        ) {
            match load_all(&[&text], &[("ROSTERD_TARGETS__JUNO__RATE", &value)]) {
                Ok(_) => {}
                Err(errors) => prop_assert!(!errors.is_empty()),
            }
        }
    }
}
