//! `rosterd demo`: four days in the life of a directory, told as they happen.
//!
//! Nothing here is staged but the data. Each step is the program itself, started as an operator would start it, on
//! the sample configuration; the narration is made from what it prints, and checked against the log of the simulated
//! JUNO. Where the two part, or the story doesn't come true, the demo fails and says where.

mod reports;
mod stage;
mod witness;

use std::io::{self, Write};
use std::time::Instant;

use self::reports::{Plan, Run};
use self::stage::{Done, Export, Stage};
use self::witness::Seen;
use crate::exit::{Exit, Failure, Result};

/// What a run must have come to: the story's own numbers, which a test takes from the files.
struct Expected {
    exit: Exit,
    create: u64,
    adopt: u64,
    update: u64,
    ban: u64,
    reinstate: u64,
}

/// A run that writes nothing.
const NOTHING: Expected = Expected { exit: Exit::Ok, create: 0, adopt: 0, update: 0, ban: 0, reinstate: 0 };

const DAY_ONE: Expected = Expected { create: 296, adopt: 4, ..NOTHING };
const DAY_TWO: Expected = Expected { exit: Exit::Partial, create: 8, update: 12, ban: 6, ..NOTHING };
const EVENING: Expected = Expected { update: 1, reinstate: 1, ..NOTHING };
const DAY_THREE: Expected = Expected { exit: Exit::Held, ..NOTHING };
const DAY_FOUR: Expected = Expected { exit: Exit::Untrusted, ..NOTHING };

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

/// Tells the story, on standard output.
///
/// # Errors
/// The story did not come true, or the stage could not be set.
pub async fn command() -> Result<()> {
    let started = Instant::now();
    let mut demo = Demo { stage: Stage::set().await?, out: io::stdout() };
    demo.opening()?;
    demo.day_one().await?;
    demo.day_two().await?;
    demo.evening().await?;
    demo.day_three().await?;
    demo.day_four().await?;
    demo.ending()?;
    demo.closing(started)?;
    demo.stage.strike().await;
    Ok(())
}

struct Demo {
    stage: Stage,
    out: io::Stdout,
}

impl Demo {
    fn opening(&mut self) -> Result<()> {
        self.say(
            "Nordwind Instruments has some three hundred people in its HR system, and JUNO as its learning platform.\n\
             HR drops a CSV file once a day. Let us watch rosterd keep JUNO in step with it for four days. The JUNO is\n\
             a simulated one, inside this process; everything else is what a real run does: same program, same\n\
             configuration (config/rosterd.toml), in a directory that goes away afterwards:",
        )?;
        for line in self.stage.setting() {
            self.line(&format!("  $ {line}"))?;
        }
        Ok(())
    }

    async fn day_one(&mut self) -> Result<()> {
        self.heading("Day one: everybody is new")?;
        self.say(
            "HR's first export has 306 rows; 6 of them are former employees, and the configuration asks for active\n\
             ones alone (include = 'status == \"active\"'). Some people already have a JUNO account that was made by\n\
             hand: rosterd looks everybody up before it creates anybody, so that nobody gets a second one.",
        )?;
        self.stage.accounts_made_by_hand(&BY_HAND)?;
        self.stage.deliver(Export::One)?;
        self.sync(&DAY_ONE).await?;
        self.say("\nAnd the same file once more: nothing has changed, so nothing may be written.")?;
        self.sync(&NOTHING).await?;
        Ok(())
    }

    async fn day_two(&mut self) -> Result<()> {
        self.heading("Day two: joiners, movers, leavers, and a broken row")?;
        self.say("First a look at what would happen. A plan writes nothing to JUNO:")?;
        self.stage.deliver(Export::Two)?;
        let plan = self.plan().await?;
        self.say("\nPeople who moved, field by field, old and new:")?;
        self.examples(&plan, "update")?;
        for row in &plan.rejected {
            self.line(&format!("Rejected: {}", reports::rejected(row)))?;
        }
        self.expect(plan.rejected.iter().any(|r| r.key.as_deref() == Some(BROKEN)), || {
            format!("the broken row of {BROKEN} was not rejected")
        })?;
        self.say(
            "\nA broken row is not a person who left: her account stays exactly as it is, and the exit code is 75\n\
             (\"something is left\") so that somebody has a look. Of the leavers three are gone from the file and\n\
             three are marked as left. Now for real:",
        )?;
        self.sync(&DAY_TWO).await?;
        self.expect(self.banned(BROKEN) == Some(false), || format!("{BROKEN} was touched for a broken row"))?;
        self.expect(self.banned(REHIRED) == Some(true), || format!("{REHIRED} left and was not banned"))
    }

    async fn evening(&mut self) -> Result<()> {
        self.heading("Day two, evening: one comes back")?;
        self.say(&format!(
            "HR sends a correction. {REHIRED} did not leave after all, she was promoted; and the broken row is whole\n\
             again. Her old account is reinstated, with its history: she does not get a new one."
        ))?;
        self.stage.deliver(Export::Evening)?;
        self.sync(&EVENING).await?;
        self.expect(self.banned(REHIRED) == Some(false), || format!("{REHIRED} was not reinstated"))
    }

    async fn day_three(&mut self) -> Result<()> {
        self.heading("Day three: sixty people leave at once. Really?")?;
        self.say(
            "A whole department, Field Service, is marked as left. The limit allows 10 bans a run, or 5 % of the\n\
             people if that is more. Sixty is more than either, so nothing is sent until somebody has looked:",
        )?;
        self.stage.deliver(Export::Three)?;
        let run = self.sync(&DAY_THREE).await?;
        let banned = run.planned.get("ban").copied().unwrap_or(0);
        self.expect(banned == MASS_LEAVE, || format!("{banned} bans were planned, not {MASS_LEAVE}"))?;
        let Some(plan) = run.plan else { return Err(untrue("the held plan has no id")) };
        self.show(&["plans"]).await?;
        self.say(&format!(
            "\nIf the sixty had really left, somebody would release it, once, and the ledger would know who and why:\n\
             \x20 rosterd approve {plan} --reason \"Field Service was sold\"\n\
             HR, asked, says: the department was renamed, nobody left. So it is dropped."
        ))?;
        self.show(&["discard", &plan]).await?;
        self.nobody_was_touched()
    }

    async fn day_four(&mut self) -> Result<()> {
        self.heading("Day four: most of the export is missing")?;
        self.say(
            "The file ends after 41 of 311 people; a disk was full somewhere. To a naive program that is 270 leavers.\n\
             rosterd does not trust a source that has shrunk so much (max_shrink), and then acts on nothing in it:",
        )?;
        self.stage.deliver(Export::Four)?;
        let run = self.sync(&DAY_FOUR).await?;
        if let Some(problem) = &run.error {
            self.line(&format!("Why: {}", problem.message))?;
        }
        self.say("\nThe status says so too, until a good file comes:")?;
        self.show(&["status"]).await?;
        self.nobody_was_touched()
    }

    /// The state of JUNO after four days, account by account.
    fn ending(&mut self) -> Result<()> {
        let users = self.stage.juno().users("juno");
        let banned = users.iter().filter(|u| u["banned"] == true).count();
        let stranger = users.iter().find(|u| u["email"] == STRANGER);
        self.heading("What JUNO holds now")?;
        self.say(&format!(
            "{} accounts: {} active, {banned} banned. Nobody has two. The event desk's account, which HR knows nothing\n\
             of, is as it was.",
            users.len(),
            users.len() - banned,
        ))?;
        // 300 on day one and 8 joiners, the stranger; six left and one of them is back.
        self.expect(users.len() == 309 && banned == 5, || "309 accounts with 5 banned were due".into())?;
        self.expect(stranger.is_some_and(|u| u["client_id"].is_null() && u["banned"] == false), || {
            "the account that HR knows nothing of was touched".into()
        })
    }

    fn closing(&mut self, started: Instant) -> Result<()> {
        self.heading("Your own file")?;
        self.say(&format!(
            "That was the whole story, in {:.1} seconds, and JUNO's own log agrees with every number. To start with\n\
             your own people:\n\
             \x20 1. copy config/rosterd.toml and point `path` at your export; name its columns under [syncs.staff.map]\n\
             \x20 2. rosterd check              every mistake in it at once, with file and line\n\
             \x20 3. rosterd sandbox            a JUNO to practise on; the sample's base_url is already its address\n\
             \x20    printf sandbox > juno.token && chmod 600 juno.token      (beside the configuration)\n\
             \x20 4. rosterd plan               who, what, from, to; writes nothing\n\
             \x20 5. rosterd sync               the same, for real\n\
             \x20 6. put your JUNO's address into base_url, its API key into juno.token, and begin again at 4",
            started.elapsed().as_secs_f32()
        ))
    }

    /// One `rosterd sync`: run, told, and checked against JUNO's log and the story.
    async fn sync(&mut self, expected: &Expected) -> Result<Run> {
        self.stage.news();
        let done = self.rosterd(&["sync", "--format", "json"]).await?;
        let run = reports::run(&done.stdout).map_err(|why| unreadable("sync", &why, &done))?;
        let seen = Seen::of(&self.stage.news());
        self.line(&format!("  {}", reports::summary(&run)))?;
        self.line(&format!("  {}", seen.sentence()))?;
        let mut untruths = seen.disagreements(&run);
        untruths.extend(expected.missed(&run, done.code));
        if expected.writes_nothing() && seen.writes > 0 {
            untruths.push(format!("{} writes reached JUNO where none was due", seen.writes));
        }
        if untruths.is_empty() { Ok(run) } else { Err(untrue(untruths.join("; ")).help(said(&done))) }
    }

    /// One `rosterd plan`, which must not write.
    async fn plan(&mut self) -> Result<Plan> {
        self.stage.news();
        let done = self.rosterd(&["plan", "--format", "json"]).await?;
        let plan = reports::plan(&done.stdout).map_err(|why| unreadable("plan", &why, &done))?;
        let seen = Seen::of(&self.stage.news());
        self.line(&format!("  {}", seen.sentence()))?;
        self.expect(seen.writes == 0, || format!("a plan wrote: {} writes", seen.writes))?;
        Ok(plan)
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
        self.stage.run(args).await
    }

    fn nobody_was_touched(&mut self) -> Result<()> {
        let writes = Seen::of(&self.stage.news()).writes;
        self.expect(writes == 0, || format!("{writes} writes reached JUNO where none was due"))?;
        self.say("\nNobody was banned, and nobody lost anything.")
    }

    /// Whether the account of this person is banned; none when there is no such account.
    fn banned(&self, key: &str) -> Option<bool> {
        let users = self.stage.juno().users("juno");
        users.iter().find(|u| u["client_id"] == key)?["banned"].as_bool()
    }

    fn examples(&mut self, plan: &Plan, op: &str) -> Result<()> {
        for line in reports::examples(plan, op, 3) {
            self.line(&format!("  {line}"))?;
        }
        Ok(())
    }

    fn expect(&self, came_true: bool, what: impl Fn() -> String) -> Result<()> {
        if came_true { Ok(()) } else { Err(untrue(what())) }
    }

    fn heading(&mut self, title: &str) -> Result<()> {
        self.line(&format!("\n── {title} {}\n", "─".repeat(88_usize.saturating_sub(title.chars().count()))))
    }

    fn say(&mut self, text: &str) -> Result<()> {
        self.line(text)
    }

    fn line(&mut self, text: &str) -> Result<()> {
        writeln!(self.out, "{text}")
            .and_then(|()| self.out.flush())
            .map_err(|e| Failure::new(Exit::Io, "cannot write to standard output").because(e))
    }
}

impl Expected {
    fn writes_nothing(&self) -> bool {
        self.create + self.adopt + self.update + self.ban + self.reinstate == 0
    }

    /// Where a run is not what the story says.
    fn missed(&self, run: &Run, code: Option<i32>) -> Vec<String> {
        let due = [
            ("create", self.create),
            ("adopt", self.adopt),
            ("update", self.update),
            ("ban", self.ban),
            ("reinstate", self.reinstate),
        ];
        let wrong = due.into_iter().filter(|(op, due)| run.ok(op) != *due);
        let mut missed: Vec<String> =
            wrong.map(|(op, due)| format!("{due} × {op} were due, {} came", run.ok(op))).collect();
        if code != Some(i32::from(self.exit.code())) {
            missed.push(format!("exit code {} was due, {code:?} came", self.exit.code()));
        }
        missed
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
