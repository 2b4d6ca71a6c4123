//! `rosterd demo`: four days of a company's user directory, shown as commands and what they print.
//!
//! Only the data is invented. Each step is the program itself, started as an operator would start it, on a sample
//! configuration: one HR export, three simulated platforms. What each command did is judged beside its text, by the
//! program's JSON and the logs of the platforms. Where the story doesn't come true, the demo fails and says where.

mod excerpt;
mod expected;
mod reports;
mod stage;
mod target_logs;
mod workspace;

use std::time::Instant;

use serde_json::Value;
use tokio::signal::unix::{SignalKind, signal};

use self::expected::{AFTERNOON, APPROVED, DAY_FOUR, DAY_ONE, DAY_THREE, DAY_TWO, EVENING, Expected, SILENCE, UNDONE};
use self::reports::Plan;
use self::stage::{Stage, WHOLE, expect, untrue};
use self::workspace::{Export, Place, Platform};
use crate::domain::error::Result;
use crate::domain::exit::Exit;

/// Accounts that people made by hand before: four of ours, and one that is nobody's in HR.
const BY_HAND: [(&str, &str); 5] = [
    ("fabio.goncalves@nordwind.example", "Fabio"),
    ("Siobhan.MacCarthaigh@Nordwind.example", "Siobhan"),
    ("marketa.ruzicka2@nordwind.example", "Markéta"),
    ("lei.wang@nordwind.example", "Lei"),
    (STRANGER, "Event desk"),
];

/// An account on the target that HR knows nothing of. It must never be touched.
const STRANGER: &str = "events@partner.example";

/// Who goes in the morning of day two and is back in the evening.
const REHIRED: &str = "E1139";

/// Whose row is broken on day two.
const BROKEN: &str = "E1150";

/// One of those who leave on day three: key and address.
const LEAVER: (&str, &str) = ("E1013", "oceane.beranger@nordwind.example");

/// How many platforms there are, and how many runs a `rosterd sync` makes.
const ALL: usize = Platform::ALL.len();

/// Of a list of people, so many are shown.
const FEW: usize = 3;

/// Tells the story, on standard output.
///
/// # Errors
/// The story did not come true, or the workspace could not be made.
pub async fn command() -> Result<()> {
    let started = Instant::now();
    let mut stage = Stage::create().await?;
    let told = tokio::select! {
        biased;
        signal = ending_signal() => Err(signal),
        told = story(&mut stage, started) => Ok(told),
    };
    stage.workspace.close().await;
    // Whoever ends it early wants no more of it, and no directory left behind. The code is a shell's for such an end.
    told.unwrap_or_else(|signal| std::process::exit(128 + signal.as_raw_value()))
}

/// Waits for a signal that ends a program: Ctrl-C, a terminal that is closed, `kill`. Where signals can't be heard, for
/// ever.
async fn ending_signal() -> SignalKind {
    let kinds = [SignalKind::interrupt(), SignalKind::hangup(), SignalKind::terminate()];
    let heard = kinds.map(|kind| {
        Box::pin(async move {
            match signal(kind) {
                Ok(mut signals) => signals.recv().await,
                Err(_) => std::future::pending().await,
            };
            kind
        })
    });
    futures_util::future::select_all(heard).await.0
}

async fn story(stage: &mut Stage, started: Instant) -> Result<()> {
    opening(stage)?;
    day_one(stage).await?;
    day_two(stage).await?;
    let banned = day_three(stage).await?;
    day_four(stage, &banned).await?;
    own_file(stage).await?;
    closing(stage, started)
}

fn opening(stage: &mut Stage) -> Result<()> {
    stage.tell(
        "Nordwind Instruments has 300 people in its HR system, and three platforms on which they need accounts: JUNO, \
         Juicebox and LongJump. HR writes one export a day. rosterd keeps the platforms in step with it.",
    )?;
    let directory = stage.workspace.directory().display().to_string();
    stage.tell(&format!(
        "Each command below is run now, and what it prints is shown; only long lists are shortened. The data is \
         invented, and the platforms are simulated inside this process. The configuration is config/demo.toml, in \
         {directory}, which is removed at the end."
    ))
}

async fn day_one(stage: &mut Stage) -> Result<()> {
    stage.heading("Day one: everybody is new")?;
    stage.tell(
        "A plan says what would be done, and writes nothing. Six rows of the export are former employees: the \
         configuration leaves them out. Four people have an account already that somebody made by hand. It is found by \
         e-mail address and adopted, so that nobody gets a second one.",
    )?;
    stage.workspace.accounts_made_by_hand(&BY_HAND)?;
    stage.workspace.deliver(Export::One)?;
    let plan = stage.plan(Platform::Juno, 2).await?;
    expect_planned(&plan, &DAY_ONE.on[0])?;

    stage.tell("Now for real, on all three. To create somebody on Juicebox is to invite them.")?;
    stage.judge(&["sync"], ALL, &DAY_ONE).await?;

    stage.tell("The same file once more: nothing has changed, so nothing is written.")?;
    stage.judge(&["sync"], ALL, &SILENCE).await?;
    let open = open_invitations(stage);
    let mails = open.iter().filter_map(|one| one["invitation_email_count"].as_u64()).max();
    expect(open.len() == 300 && mails == Some(1), || {
        format!("300 invitations with one mail each were due, {} with {mails:?} came", open.len())
    })?;

    stage.tell("Everybody accepts Juicebox's invitation. It could not take their names, so they are sent now.")?;
    stage.workspace.accept_invitations()?;
    stage.judge(&["sync", "juicebox"], 1, &AFTERNOON).await?;
    expect(open_invitations(stage).is_empty(), || "an invitation is still open".into())
}

async fn day_two(stage: &mut Stage) -> Result<()> {
    stage.heading("Day two: joiners, movers, leavers, and a broken row")?;
    stage.tell("The next export. Its changes are shown field by field, old and new.")?;
    stage.workspace.deliver(Export::Two)?;
    let plan = stage.plan(Platform::Juno, FEW).await?;
    expect_planned(&plan, &DAY_TWO.on[0])?;
    expect(plan.rejected.iter().any(|row| row.key.as_deref() == Some(BROKEN)), || {
        format!("the broken row of {BROKEN} was not rejected")
    })?;

    stage.tell(&format!(
        "A broken row does not mean that somebody has left: the accounts of {BROKEN} stay as they are. The exit code \
         says that something is left to do."
    ))?;
    stage.judge(&["sync"], ALL, &DAY_TWO).await?;
    expect_banned(stage, BROKEN, false)?;
    expect_banned(stage, REHIRED, true)?;

    stage.tell(&format!(
        "In the evening HR corrects it: the row is whole, and {REHIRED} has not left after all. Her old accounts are \
         reinstated; she gets no new ones. (On Juicebox, the eight who are new have accepted.)"
    ))?;
    stage.workspace.deliver(Export::Evening)?;
    stage.workspace.accept_invitations()?;
    stage.judge(&["sync"], ALL, &EVENING).await?;
    expect_banned(stage, REHIRED, false)
}

/// The id of the run that bans is what comes of it.
async fn day_three(stage: &mut Stage) -> Result<String> {
    stage.heading("Day three: sixty people leave at once")?;
    stage.tell(
        "The limit allows 10 bans a run, or 5 % of the people if that is more. Sixty are more than either, so nothing \
         is sent until somebody has looked. (To be short: JUNO alone.)",
    )?;
    stage.workspace.deliver(Export::Three)?;
    stage.judge(&["sync", "juno"], 1, &DAY_THREE).await?;

    stage.tell("Who would lose access?")?;
    let plan = stage.held_plan(Platform::Juno).await?;
    stage.show(&["plans", "show", &plan], Exit::Ok, FEW).await?;

    stage.tell("HR confirms it. An approval is for this plan, once; who approved it, and why, is kept.")?;
    let approve = ["approve", &plan, "--reason", "Field Service was sold"];
    let run = stage.judge(&approve, 1, &APPROVED).await?.remove(0).run;
    expect_banned_on(stage, Platform::Juno, LEAVER.0, true)?;

    stage.tell(
        "Océane Béranger asks why she cannot log in any more. `why` finds her by address, by key or by account.",
    )?;
    stage.show(&["why", "juno", LEAVER.1], Exit::Ok, FEW).await?;
    Ok(run)
}

/// `banned`: the run that is undone.
async fn day_four(stage: &mut Stage, banned: &str) -> Result<()> {
    stage.heading("Day four: most of the export is missing")?;
    stage.tell(
        "The file ends after 41 of 311 people; a disk was full. That would be 270 leavers. A source that has shrunk so \
         much is not trusted: nothing is done.",
    )?;
    stage.workspace.deliver(Export::Four)?;
    stage.judge(&["sync", "juno"], 1, &DAY_FOUR).await?;
    stage.show(&["status", "juno"], Exit::Ok, WHOLE).await?;

    stage.tell(
        "And yesterday's news was wrong: the department has another name, and nobody left. To undo a run is a plan \
         too, held until it is approved.",
    )?;
    stage.show(&["undo", banned], Exit::Ok, FEW).await?;
    let plan = stage.held_plan(Platform::Juno).await?;
    stage.judge(&["approve", &plan, "--reason", "Field Service has a new name"], 1, &UNDONE).await?;
    expect_banned_on(stage, Platform::Juno, LEAVER.0, false)?;

    stage.tell("A good export is here. Everything is in step again.")?;
    stage.workspace.deliver(Export::Evening)?;
    stage.show(&["resume", "juno"], Exit::Ok, WHOLE).await?;
    stage.judge(&["sync"], ALL, &SILENCE).await?;

    stage
        .tell("Is it what JUNO really has? The event desk's account, which HR knows nothing of, was never touched.")?;
    stage.show(&["reconcile", "juno"], Exit::Ok, WHOLE).await?;
    expect_accounts(stage)
}

async fn own_file(stage: &mut Stage) -> Result<()> {
    stage.heading("Your own file")?;
    stage.tell(
        "Another company's export has other columns. In a directory with nothing but this file, which begins so, and \
         the platform's secret in juno.token:",
    )?;
    let export = stage.workspace.own_file("people.csv").unwrap_or_default();
    let head: Vec<&str> = export.lines().take(FEW).collect();
    stage.line("")?;
    stage.relay(&head.join("\n"), WHOLE)?;
    let init = ["init", "--source", "people.csv", "--target", "juno", "--out", ".", "--yes"];
    stage.show_in(Place::Own, &init, Exit::Ok, WHOLE).await?;

    stage.tell(
        "(Where this demo's JUNO listens is said by the environment.) What was written about the sync, without its \
         comments and tests:",
    )?;
    let written = stage.workspace.own_file("rosterd.toml").ok_or_else(|| untrue("init wrote no rosterd.toml"))?;
    stage.line("")?;
    stage.relay(&sync_settings(&written), WHOLE)?;
    stage.tell("It works as it is:")?;
    stage.workspace.news();
    stage.show_in(Place::Own, &["--config", "rosterd.toml", "plan"], Exit::Ok, FEW).await?;
    let writes = stage.workspace.news().iter().filter(|request| request.write).count();
    expect(writes == 0, || format!("a plan wrote {writes} times"))
}

fn closing(stage: &mut Stage, started: Instant) -> Result<()> {
    stage.heading("What to type now")?;
    stage.tell(&format!(
        "That was all, in {:.1} seconds; every number was checked against the platforms' own logs. With your export:",
        started.elapsed().as_secs_f32()
    ))?;
    stage.line("")?;
    for (command, what) in [
        ("rosterd init --source FILE --target KIND", "asks for what it cannot find out"),
        ("rosterd check --connect", "is everything there?"),
        ("rosterd plan", "who, what, from, to; writes nothing"),
        ("rosterd sync", "the same, for real"),
        ("rosterd manual", "all the rest"),
    ] {
        stage.line(&format!("  {command:<42} {what}"))?;
    }
    stage.tell(
        "KIND is juno, juicebox, longjump or scim; `rosterd manual rest` is about any other API. `rosterd sandbox` \
         has the simulated platforms, to practise on.",
    )
}

/// The settings of the syncs of a configuration that `init` wrote, without comments, empty lines and tests.
fn sync_settings(written: &str) -> String {
    let lines = written.lines().skip_while(|line| !line.starts_with("[syncs."));
    let lines = lines.take_while(|line| !line.starts_with("[[syncs."));
    // `init` writes a blank before and after the sign; in the sample's columns there is no such sign.
    let lines = lines.map(|line| line.split_once(" # ").map_or(line, |(setting, _)| setting).trim_end());
    let lines = lines.filter(|line| !line.starts_with('#') && !line.is_empty());
    lines.collect::<Vec<_>>().join("\n")
}

/// What Juicebox has mailed and nobody has answered yet.
fn open_invitations(stage: &Stage) -> Vec<Value> {
    stage.workspace.users(Platform::Juicebox).into_iter().filter(|user| user["invited"] == true).collect()
}

fn expect_planned(plan: &Plan, due: &Expected) -> Result<()> {
    let missed = due.missed(|op| plan.planned(op));
    expect(missed.is_empty(), || format!("the plan for {} is another: {}", plan.sync, missed.join("; ")))
}

fn expect_banned(stage: &Stage, key: &str, banned: bool) -> Result<()> {
    Platform::ALL.into_iter().try_for_each(|platform| expect_banned_on(stage, platform, key, banned))
}

fn expect_banned_on(stage: &Stage, platform: Platform, key: &str, banned: bool) -> Result<()> {
    let users = stage.workspace.users(platform);
    let is = users.iter().find(|user| key_of(platform, user) == key).map(|user| is_banned(platform, user));
    expect(is == Some(banned), || {
        let due = if banned { "banned" } else { "not banned" };
        format!("{key} was due to be {due} on {}", platform.title())
    })
}

/// The platforms after four days, account by account: 300 people of day one and 8 joiners, on JUNO the event desk too;
/// six left, and one of them is back.
fn expect_accounts(stage: &Stage) -> Result<()> {
    for platform in Platform::ALL {
        let users = stage.workspace.users(platform);
        let banned = users.iter().filter(|user| is_banned(platform, user)).count();
        let (all, name) = (users.len(), platform.title());
        let due = if platform == Platform::Juno { 309 } else { 308 };
        expect(all == due && banned == 5, || {
            format!("{due} accounts with 5 banned were due on {name}, {all} with {banned} came")
        })?;
    }
    let users = stage.workspace.users(Platform::Juno);
    let stranger = users.iter().find(|user| user["email"] == STRANGER);
    expect(stranger.is_some_and(|user| user["client_id"].is_null() && user["banned"] == false), || {
        "the account that HR knows nothing of was touched".into()
    })
}

/// The key of the person whose account this is, where each platform keeps it.
fn key_of(platform: Platform, user: &Value) -> &str {
    let key = match platform {
        Platform::Juno => &user["client_id"],
        Platform::Juicebox => &user["extra"]["employee_id"],
        Platform::LongJump => &user["employee_number"],
    };
    key.as_str().unwrap_or_default()
}

/// Whether an account can't be used, as each platform says it.
fn is_banned(platform: Platform, user: &Value) -> bool {
    match platform {
        Platform::Juno => user["banned"] == true,
        Platform::Juicebox => user["is_active"] == false,
        Platform::LongJump => user["active"] == false,
    }
}

#[cfg(test)]
mod tests;
