//! `rosterd demo`: four days in the life of a directory, told as they happen.
//!
//! Nothing here is staged but the data. Each step is the program itself, started as an operator would start it, on a
//! sample configuration: one HR export, three platforms. The narration is made from what it prints, and checked
//! against the logs of the simulated platforms. Where the two part, or the story doesn't come true, the demo fails and
//! says where.

mod reports;
mod target_logs;
mod workspace;

use std::time::Instant;

use serde_json::Value;

use self::reports::{Plan, Run, wrapped};
use self::target_logs::Seen;
use self::workspace::{Done, Export, Platform, Workspace};
use crate::domain::error::{Failure, Result};
use crate::domain::exit::Exit;
use crate::terminal::out::{Out, room};

/// What a run on one platform must have come to: the story's own numbers, which a test takes from the files.
#[derive(Clone, Copy)]
struct Expected {
    create: u64,
    adopt: u64,
    update: u64,
    ban: u64,
    reinstate: u64,
}

/// What a `rosterd sync` must have come to, in the order of [`Platform::ALL`].
struct Due {
    exit: Exit,
    on: [Expected; 3],
}

/// A run that writes nothing.
const NOTHING: Expected = Expected { create: 0, adopt: 0, update: 0, ban: 0, reinstate: 0 };

/// Nothing is written anywhere.
const SILENCE: Due = Due { exit: Exit::Ok, on: [NOTHING; 3] };

const DAY_ONE: Due = Due {
    exit: Exit::Ok,
    on: [
        Expected { create: 296, adopt: 4, ..NOTHING },
        Expected { create: 300, ..NOTHING },
        Expected { create: 300, ..NOTHING },
    ],
};
/// All who were invited have accepted, and get their names.
const AFTERNOON: Due = Due { exit: Exit::Ok, on: [NOTHING, Expected { update: 300, ..NOTHING }, NOTHING] };
const DAY_TWO: Due = Due { exit: Exit::Partial, on: [Expected { create: 8, update: 12, ban: 6, ..NOTHING }; 3] };
/// One is reinstated, one's row is whole again; and the eight who were invited in the morning have accepted.
const EVENING: Due = Due {
    exit: Exit::Ok,
    on: [
        Expected { update: 1, reinstate: 1, ..NOTHING },
        Expected { update: 9, reinstate: 1, ..NOTHING },
        Expected { update: 1, reinstate: 1, ..NOTHING },
    ],
};
const DAY_THREE: Due = Due { exit: Exit::Held, ..SILENCE };
const DAY_FOUR: Due = Due { exit: Exit::Untrusted, ..SILENCE };

/// How many leave at once on day three.
const MASS_LEAVE: u64 = 60;

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

/// What a label takes of a line.
const LABEL: usize = 12;

/// Tells the story, on standard output.
///
/// # Errors
/// The story did not come true, or the workspace could not be made.
pub async fn command() -> Result<()> {
    let started = Instant::now();
    let mut demo = Demo { workspace: Workspace::create().await?, out: Out::stdout(), width: room() };
    demo.opening()?;
    demo.day_one().await?;
    demo.day_two().await?;
    demo.evening().await?;
    demo.day_three().await?;
    demo.day_four().await?;
    demo.ending()?;
    demo.closing(started)?;
    demo.workspace.close().await;
    Ok(())
}

struct Demo {
    workspace: Workspace,
    out: Out,
    /// How wide a line of prose may be, in characters.
    width: usize,
}

impl Demo {
    fn opening(&mut self) -> Result<()> {
        self.say(
            "Nordwind Instruments has some three hundred people in its HR system, and three platforms that ought to \
             know them: JUNO for learning, Juicebox for dashboards, LongJump for forms. HR drops a CSV file once a day. \
             Let us watch rosterd keep all three in step with it for four days. The platforms are simulated, inside \
             this process; everything else is what a real run does: same program, same configuration \
             (config/demo.toml), in a directory that goes away afterwards:",
        )?;
        for line in self.workspace.setting() {
            self.line(&format!("  $ {line}"))?;
        }
        Ok(())
    }

    async fn day_one(&mut self) -> Result<()> {
        self.heading("Day one: everybody is new")?;
        self.say(
            "HR's first export has 306 rows; 6 of them are former employees, and the configuration asks for active \
             ones alone (include = 'status == \"active\"'). It is read once, for all three. Some people already have a \
             JUNO account that was made by hand: rosterd looks everybody up before it creates anybody, so that nobody \
             gets a second one. Juicebox lets nobody in uninvited, so there everybody is sent an invitation. LongJump \
             speaks XML, in a session that is logged in to once and logged out of at the end.",
        )?;
        self.workspace.accounts_made_by_hand(&BY_HAND)?;
        self.workspace.deliver(Export::One)?;
        self.sync(&DAY_ONE).await?;
        self.say(
            "\nAnd the same file once more: nothing has changed, so nothing may be written. The invitations are still \
             open, and nobody is invited a second time:",
        )?;
        self.sync(&SILENCE).await?;
        let open = self.open_invitations();
        let mails = open.iter().filter_map(|one| one["invitation_email_count"].as_u64()).max();
        self.expect(open.len() == 300 && mails == Some(1), || {
            format!("300 invitations with one mail each were due, {} with {mails:?} came", open.len())
        })?;
        self.say(&format!(
            "\nJuicebox has {} open invitations, one mail each. In the afternoon everybody accepts. An invitation \
             takes no names, so they follow now, and only there:",
            open.len()
        ))?;
        self.workspace.accept_invitations()?;
        self.sync(&AFTERNOON).await?;
        self.expect(self.open_invitations().is_empty(), || "an invitation is still open".into())
    }

    async fn day_two(&mut self) -> Result<()> {
        self.heading("Day two: joiners, movers, leavers, and a broken row")?;
        self.say("First a look at what would happen. A plan writes nothing to any platform:")?;
        self.workspace.deliver(Export::Two)?;
        let plans = self.plan().await?;
        self.say("\nPeople who moved, field by field, old and new, each platform in its own words:")?;
        for platform in Platform::ALL {
            let plan = one_of(&plans, platform, |p| &p.sync)?;
            for line in reports::examples(plan, "update", 2) {
                self.row(platform.title(), &line)?;
            }
        }
        for plan in &plans {
            self.expect(plan.rejected.iter().any(|r| r.key.as_deref() == Some(BROKEN)), || {
                format!("the broken row of {BROKEN} was not rejected for {}", plan.sync)
            })?;
        }
        for row in plans.first().map(|p| p.rejected.as_slice()).unwrap_or_default() {
            self.row("Rejected", &reports::rejected(row))?;
        }
        self.say(
            "\nA broken row is not a person who left: her accounts stay exactly as they are, and the exit code is 75 \
             (\"something is left\") so that somebody has a look. Of the leavers three are gone from the file and \
             three are marked as left. Now for real:",
        )?;
        self.sync(&DAY_TWO).await?;
        for platform in Platform::ALL {
            let on = platform.title();
            self.expect(self.banned(platform, BROKEN) == Some(false), || {
                format!("{BROKEN} was touched on {on} for a broken row")
            })?;
            self.expect(self.banned(platform, REHIRED) == Some(true), || {
                format!("{REHIRED} left and was not banned on {on}")
            })?;
        }
        Ok(())
    }

    async fn evening(&mut self) -> Result<()> {
        self.heading("Day two, evening: one comes back")?;
        self.say(&format!(
            "HR sends a correction. {REHIRED} did not leave after all, she was promoted; and the broken row is whole \
             again. Her old accounts are reinstated, with their history: she does not get new ones. And the eight who \
             were invited to Juicebox in the morning have accepted: their names follow."
        ))?;
        self.workspace.deliver(Export::Evening)?;
        self.workspace.accept_invitations()?;
        self.sync(&EVENING).await?;
        for platform in Platform::ALL {
            self.expect(self.banned(platform, REHIRED) == Some(false), || {
                format!("{REHIRED} was not reinstated on {}", platform.title())
            })?;
        }
        Ok(())
    }

    async fn day_three(&mut self) -> Result<()> {
        self.heading("Day three: sixty people leave at once. Really?")?;
        self.say(
            "A whole department, Field Service, is marked as left. The limit allows 10 bans a run, or 5 % of the \
             people if that is more. Sixty is more than either, so nothing is sent until somebody has looked:",
        )?;
        self.workspace.deliver(Export::Three)?;
        let runs = self.sync(&DAY_THREE).await?;
        let mut held = Vec::new();
        for run in &runs {
            let banned = run.planned.get("ban").copied().unwrap_or(0);
            self.expect(banned == MASS_LEAVE, || format!("{banned} bans were planned, not {MASS_LEAVE}"))?;
            held.extend(run.plan.clone());
        }
        self.expect(held.len() == runs.len(), || "a held plan has no id".into())?;
        self.show(&["plans"]).await?;
        self.say(&format!(
            "\nIf the sixty had really left, somebody would release them, once each, and the ledger would know who and \
             why:\n\
             \x20 rosterd approve {} --reason \"Field Service was sold\"\n\
             HR, asked, says: the department was renamed, nobody left. So they are dropped.",
            held.first().map(String::as_str).unwrap_or_default()
        ))?;
        for plan in &held {
            self.show(&["discard", plan]).await?;
        }
        self.nobody_was_touched()
    }

    async fn day_four(&mut self) -> Result<()> {
        self.heading("Day four: most of the export is missing")?;
        self.say(
            "The file ends after 41 of 311 people; a disk was full somewhere. To a naive program that is 270 leavers. \
             rosterd does not trust a source that has shrunk so much (max_shrink), and then acts on nothing in it:",
        )?;
        self.workspace.deliver(Export::Four)?;
        let runs = self.sync(&DAY_FOUR).await?;
        if let Some(problem) = runs.first().and_then(|run| run.error.as_ref()) {
            self.say(&format!("\nWhy: {}", problem.message))?;
        }
        self.say("\nThe status says so too, until a good file comes:")?;
        self.show(&["status"]).await?;
        self.nobody_was_touched()
    }

    /// The state of the platforms after four days, account by account.
    fn ending(&mut self) -> Result<()> {
        self.heading("What the platforms hold now")?;
        for platform in Platform::ALL {
            let users = self.workspace.users(platform);
            let banned = users.iter().filter(|user| is_banned(platform, user)).count();
            let (all, name) = (users.len(), platform.title());
            self.row(name, &format!("{all} accounts: {} active, {banned} banned", all - banned))?;
            // 300 on day one and 8 joiners, on JUNO the stranger too; six left and one of them is back.
            let due = if platform == Platform::Juno { 309 } else { 308 };
            self.expect(all == due && banned == 5, || format!("{due} accounts with 5 banned were due on {name}"))?;
        }
        self.say("\nNobody has two. JUNO's event desk, which HR knows nothing of, is as it was.")?;
        let users = self.workspace.users(Platform::Juno);
        let stranger = users.iter().find(|u| u["email"] == STRANGER);
        self.expect(stranger.is_some_and(|u| u["client_id"].is_null() && u["banned"] == false), || {
            "the account that HR knows nothing of was touched".into()
        })
    }

    fn closing(&mut self, started: Instant) -> Result<()> {
        self.heading("Your own file")?;
        self.say(&format!(
            "That was the whole story, in {:.1} seconds, and the platforms' own logs agree with every number. To start \
             with your own people:\n\
             \x20 1. copy config/rosterd.toml (JUNO), config/juicebox.toml or\n\
             \x20    config/longjump.toml, or config/demo.toml, which has all three; point\n\
             \x20    `path` at your export, and name its columns in the mapping\n\
             \x20 2. rosterd check     every mistake in it at once, with file and line\n\
             \x20 3. rosterd sandbox   platforms to practise on, where the samples expect them\n\
             \x20    printf sandbox > juno.token && chmod 600 juno.token   (beside the sample)\n\
             \x20 4. rosterd plan      who, what, from, to; writes nothing\n\
             \x20 5. rosterd sync      the same, for real\n\
             \x20 6. put your platform's address into base_url and its key into juno.token, and\n\
             \x20    begin again at 4",
            started.elapsed().as_secs_f32()
        ))
    }

    /// One `rosterd sync`: run, told, and checked against the platforms' logs and the story. The runs are in the order
    /// of [`Platform::ALL`].
    async fn sync(&mut self, due: &Due) -> Result<Vec<Run>> {
        self.workspace.news();
        let done = self.rosterd(&["sync", "--format", "json"]).await?;
        let reported = reports::runs(&done.stdout).map_err(|why| unreadable("sync", &why, &done))?;
        let news = self.workspace.news();
        let mut untruths = Vec::new();
        match reports::source(&reported) {
            // What is not trusted is not told of.
            Some(_) if due.exit == Exit::Untrusted => {}
            Some(read) => self.line(&format!("  {read}"))?,
            None => untruths.push("the syncs did not see the same source".into()),
        }
        let mut runs = Vec::new();
        for (platform, expected) in Platform::ALL.into_iter().zip(&due.on) {
            let run = one_of(&reported, platform, |r| &r.sync)?.clone();
            let seen = Seen::of(&news, platform);
            let said = reports::summary(&run, platform == Platform::Juicebox);
            self.row(platform.title(), &said)?;
            self.row("", &seen.sentence(platform))?;
            untruths.extend(seen.disagreements(&run, platform));
            untruths.extend(expected.missed(&run).into_iter().map(|what| format!("{}: {what}", platform.title())));
            if expected.writes_nothing() && seen.writes > 0 {
                untruths.push(format!("{} writes reached {} where none was due", seen.writes, platform.title()));
            }
            runs.push(run);
        }
        if done.code != Some(i32::from(due.exit.code())) {
            untruths.push(format!("exit code {} was due, {:?} came", due.exit.code(), done.code));
        }
        if untruths.is_empty() { Ok(runs) } else { Err(untrue(untruths.join("; ")).help(said(&done))) }
    }

    /// One `rosterd plan`, which must not write.
    async fn plan(&mut self) -> Result<Vec<Plan>> {
        self.workspace.news();
        let done = self.rosterd(&["plan", "--format", "json"]).await?;
        let plans = reports::plans(&done.stdout).map_err(|why| unreadable("plan", &why, &done))?;
        let news = self.workspace.news();
        for platform in Platform::ALL {
            let seen = Seen::of(&news, platform);
            self.row(platform.title(), &seen.sentence(platform))?;
            self.expect(seen.writes == 0, || format!("a plan wrote to {}: {}", platform.title(), seen.writes))?;
        }
        Ok(plans)
    }

    /// A command whose own text is shown as it is.
    async fn show(&mut self, args: &[&str]) -> Result<()> {
        let done = self.rosterd(args).await?;
        for line in done.stdout.lines() {
            self.line(&format!("  {line}"))?;
        }
        self.expect(done.code == Some(0), || format!("`rosterd {}` failed: {}", args.join(" "), said(&done)))
    }

    /// Says which command is run, and runs it.
    async fn rosterd(&mut self, args: &[&str]) -> Result<Done> {
        self.line(&format!("\n  $ rosterd {}", args.join(" ")))?;
        self.workspace.run(args).await
    }

    fn nobody_was_touched(&mut self) -> Result<()> {
        let news = self.workspace.news();
        for platform in Platform::ALL {
            let writes = Seen::of(&news, platform).writes;
            self.expect(writes == 0, || format!("{writes} writes reached {} where none was due", platform.title()))?;
        }
        self.say("\nNobody was banned, and nobody lost anything.")
    }

    /// Whether the account of this person is banned; none when there is no such account.
    fn banned(&self, platform: Platform, key: &str) -> Option<bool> {
        let users = self.workspace.users(platform);
        users.iter().find(|user| key_of(platform, user) == key).map(|user| is_banned(platform, user))
    }

    /// What Juicebox has mailed and nobody has answered yet.
    fn open_invitations(&self) -> Vec<Value> {
        self.workspace.users(Platform::Juicebox).into_iter().filter(|user| user["invited"] == true).collect()
    }

    fn expect(&self, came_true: bool, what: impl Fn() -> String) -> Result<()> {
        if came_true { Ok(()) } else { Err(untrue(what())) }
    }

    fn heading(&mut self, title: &str) -> Result<()> {
        let rest = self.width.saturating_sub(title.chars().count() + 4);
        self.line(&format!("\n── {title} {}\n", "─".repeat(rest)))
    }

    /// Tells something under a label; what doesn't fit stands below its beginning.
    fn row(&mut self, label: &str, text: &str) -> Result<()> {
        let mut label = label;
        for part in wrapped(text, self.width.saturating_sub(LABEL)) {
            self.line(&format!("  {label:<9} {part}"))?;
            label = "";
        }
        Ok(())
    }

    /// Tells something, as wide as there is room. Lines that begin with a blank stay as they are.
    fn say(&mut self, text: &str) -> Result<()> {
        for line in text.lines() {
            for part in wrapped(line, self.width) {
                self.line(&part)?;
            }
        }
        Ok(())
    }

    fn line(&mut self, text: &str) -> Result<()> {
        self.out.lines(&format!("{text}\n"))?;
        self.out.flush()
    }
}

impl Expected {
    fn writes_nothing(&self) -> bool {
        self.create + self.adopt + self.update + self.ban + self.reinstate == 0
    }

    /// Where a run is not what the story says.
    fn missed(&self, run: &Run) -> Vec<String> {
        let due = [
            ("create", self.create),
            ("adopt", self.adopt),
            ("update", self.update),
            ("ban", self.ban),
            ("reinstate", self.reinstate),
        ];
        let wrong = due.into_iter().filter(|(op, due)| run.ok(op) != *due);
        wrong.map(|(op, due)| format!("{due} × {op} were due, {} came", run.ok(op))).collect()
    }
}

/// The one of these that belongs to this platform.
fn one_of<T>(all: &[T], platform: Platform, sync: impl Fn(&T) -> &str) -> Result<&T> {
    let found = all.iter().find(|one| sync(one) == platform.name());
    found.ok_or_else(|| untrue(format!("there is no report for {}", platform.title())))
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

/// The story did not come true.
fn untrue(why: impl Into<String>) -> Failure {
    Failure::internal(format!("the demo's story did not come true: {}", why.into()))
}

fn unreadable(command: &str, why: &str, done: &Done) -> Failure {
    untrue(format!("`rosterd {command}` ended with {:?}, and {why}", done.code)).help(said(done))
}

/// What a command said on standard error, for whoever has to find out. The demo's people are invented.
fn said(done: &Done) -> String {
    let text = if done.stderr.trim().is_empty() { &done.stdout } else { &done.stderr };
    format!("it said: {}", text.trim().chars().take(2000).collect::<String>())
}

#[cfg(test)]
mod tests;
