//! How the demo shows a command, and how it finds out what the command did.
//!
//! A command is the program itself. Its text is shown as it comes, in its own colours; long lists in it are shortened.
//! What is judged is never that text: it is asked for once more as JSON, and taken from the simulated platforms.

use std::collections::BTreeSet;

use super::excerpt::excerpt;
use super::expected::Due;
use super::reports::{self, Plan, Run};
use super::workspace::{Done, Look, Place, Platform, Workspace};
use crate::domain::error::{Failure, Result};
use crate::domain::exit::Exit;
use crate::domain::wrap::broken;
use crate::terminal::out::{Out, before_quiet_end, room};

/// A command's text is shown whole.
pub(super) const WHOLE: usize = usize::MAX;

/// What stands before a line of the demo's own, as before a comment in a shell.
const COMMENT: &str = "# ";

/// The workspace, and the screen that is written to.
pub(super) struct Stage {
    pub(super) workspace: Workspace,
    out: Out,
    /// How wide a line of prose may be, in columns.
    width: usize,
    /// The runs that were judged already.
    judged: BTreeSet<String>,
}

impl Stage {
    /// Sets up the workspace; writes to standard output.
    ///
    /// # Errors
    /// As [`Workspace::create`].
    pub(super) async fn create() -> Result<Stage> {
        let workspace = Workspace::create().await?;
        let directory = workspace.directory().to_path_buf();
        before_quiet_end(move || {
            // There is nobody to tell that it stays.
            let _ = std::fs::remove_dir_all(&directory);
        });
        Ok(Stage { workspace, out: Out::stdout(), width: room(), judged: BTreeSet::new() })
    }

    /// Begins a part of the story.
    pub(super) fn heading(&mut self, title: &str) -> Result<()> {
        let rest = self.width.saturating_sub(title.chars().count() + 4);
        let line = self.out.style.strong(&format!("── {title} {}", "─".repeat(rest)));
        self.line("")?;
        self.line(&line)
    }

    /// Tells something in the demo's own words, as comments.
    pub(super) fn tell(&mut self, text: &str) -> Result<()> {
        self.line("")?;
        for line in broken(text, self.width.saturating_sub(COMMENT.len()), 0).lines() {
            self.line(&format!("{COMMENT}{line}"))?;
        }
        Ok(())
    }

    /// Writes a line as it is.
    pub(super) fn line(&mut self, text: &str) -> Result<()> {
        self.out.whole_line(text)?;
        self.out.flush()
    }

    /// Runs a command in the story's directory and shows it: how it is typed, what it prints with at most `most` lines
    /// of each list, and its exit code where that isn't 0.
    ///
    /// # Errors
    /// It can't be run, or ends with another code than is due.
    pub(super) async fn show(&mut self, args: &[&str], due: Exit, most: usize) -> Result<()> {
        self.show_in(Place::Story, args, due, most).await
    }

    /// As [`Stage::show`], in this place.
    ///
    /// # Errors
    /// As [`Stage::show`].
    pub(super) async fn show_in(&mut self, place: Place, args: &[&str], due: Exit, most: usize) -> Result<()> {
        let prompt = self.out.style.strong(&format!("$ {}", typed(args)));
        self.line("")?;
        self.line(&prompt)?;
        let look = Look { colours: self.out.style.is_on(), columns: self.width };
        let done = self.workspace.run(place, args, look).await?;
        self.relay(&done.stdout, most)?;
        if done.code != Some(i32::from(due.code())) {
            let (due, came) = (due.code(), done.code);
            return Err(untrue(format!("`{}` was due to end with {due}, and ended with {came:?}", typed(args)))
                .help(said(&done)));
        }
        if due != Exit::Ok {
            let code = self.out.style.faint(&format!("(exit code {})", due.code()));
            self.line(&code)?;
        }
        Ok(())
    }

    /// Shows text that a command or a file has.
    ///
    /// # Errors
    /// Standard output can't be written.
    pub(super) fn relay(&mut self, text: &str, most: usize) -> Result<()> {
        let style = self.out.style;
        let left_out = |indent: usize, hidden: usize| {
            let note = format!("… {hidden} more lines, left out here");
            // As commands colour: it is relayed with them.
            match style.is_on() {
                true => format!("{}\u{1b}[2m{note}\u{1b}[0m", " ".repeat(indent)),
                false => format!("{}{note}", " ".repeat(indent)),
            }
        };
        let lines: Vec<&str> = text.lines().collect();
        for line in excerpt(&lines, most, left_out) {
            self.out.relay(&line)?;
        }
        self.out.flush()
    }

    /// Shows a command that runs syncs, and judges what it did: by the runs of the ledger, and by what each platform
    /// saw.
    ///
    /// # Errors
    /// As [`Stage::show`]; or the runs, or what the platforms saw, are not what is due.
    pub(super) async fn judge(&mut self, args: &[&str], count: usize, due: &Due) -> Result<Vec<Run>> {
        self.workspace.news();
        self.show(args, due.exit, WHOLE).await?;
        let log = self.workspace.news();
        let limit = count.to_string();
        let runs = self.asked(&["runs", "--limit", &limit, "--format", "json"], reports::runs).await?;
        let is_new = runs.iter().all(|run| self.judged.insert(run.run.clone()));
        expect(is_new && runs.len() == count, || format!("`{}` was due to make {count} runs", typed(args)))?;
        let untruths = due.untruths(&runs, &log);
        expect(untruths.is_empty(), || untruths.join("; "))?;
        Ok(runs)
    }

    /// Shows a plan for one platform, and gives what is planned. No platform may see a write.
    ///
    /// # Errors
    /// As [`Stage::show`]; or something was written.
    pub(super) async fn plan(&mut self, platform: Platform, most: usize) -> Result<Plan> {
        let name = platform.name();
        self.workspace.news();
        self.show(&["plan", name], Exit::Ok, most).await?;
        let plans = self.asked(&["plan", name, "--format", "json"], reports::plans).await?;
        let writes = self.workspace.news().iter().filter(|request| request.write).count();
        expect(writes == 0, || format!("a plan wrote {writes} times"))?;
        let plan = plans.into_iter().find(|plan| plan.sync == name);
        plan.ok_or_else(|| untrue(format!("there is no plan for {}", platform.title())))
    }

    /// The id of the plan that waits for approval on this platform.
    ///
    /// # Errors
    /// There is none.
    pub(super) async fn held_plan(&mut self, platform: Platform) -> Result<String> {
        let plans = self.asked(&["plans", "--format", "json"], reports::held_plans).await?;
        let held = plans.into_iter().find(|plan| plan.sync == platform.name()).map(|plan| plan.id);
        held.ok_or_else(|| untrue(format!("no plan for {} waits for approval", platform.title())))
    }

    /// What a command says in JSON. It isn't shown.
    async fn asked<T>(&self, args: &[&str], read: fn(&str) -> std::result::Result<T, String>) -> Result<T> {
        let look = Look { colours: false, columns: self.width };
        let done = self.workspace.run(Place::Story, args, look).await?;
        read(&done.stdout)
            .map_err(|why| untrue(format!("`{}` ended with {:?}, and {why}", typed(args), done.code)).help(said(&done)))
    }
}

/// A command as it is typed.
fn typed(args: &[&str]) -> String {
    let words = args.iter().map(|word| match word.contains(' ') {
        true => format!("\"{word}\""),
        false => (*word).to_string(),
    });
    format!("rosterd {}", words.collect::<Vec<_>>().join(" "))
}

/// Fails with what did not come true.
///
/// # Errors
/// It did not.
pub(super) fn expect(came_true: bool, what: impl Fn() -> String) -> Result<()> {
    if came_true { Ok(()) } else { Err(untrue(what())) }
}

/// The story did not come true.
pub(super) fn untrue(why: impl Into<String>) -> Failure {
    Failure::internal(format!("the demo's story did not come true: {}", why.into()))
}

/// What a command said on standard error, for whoever has to find out. The demo's people are invented.
fn said(done: &Done) -> String {
    let text = if done.stderr.trim().is_empty() { &done.stdout } else { &done.stderr };
    format!("it said: {}", text.trim().chars().take(2000).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_written_as_it_is_typed() {
        let args = ["approve", "01ab", "--reason", "Field Service was sold"];
        assert_eq!(typed(&args), "rosterd approve 01ab --reason \"Field Service was sold\"");
    }

    #[test]
    fn what_did_not_come_true_is_an_error_that_says_what() {
        assert!(expect(true, String::new).is_ok());
        let failure = expect(false, || "a plan wrote 2 times".to_string()).expect_err("it did not");
        assert!(failure.told().contains("did not come true: a plan wrote 2 times"));
    }
}
