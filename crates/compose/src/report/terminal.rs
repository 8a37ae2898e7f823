//! A picture that is redrawn: `[+] Running 2/3` and a line per resource.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use super::{Event, Output, Phase, Reporter, write};

const SPINNER: [&str; 10] = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];

/// Draws progress on a terminal.
pub struct Terminal {
    output: Output,
    title: &'static str,
    color: bool,
    width: usize,
    height: usize,
    picture: Mutex<Picture>,
}

#[derive(Default)]
struct Picture {
    lines: Vec<Line>,
    drawn: usize,
    frame: usize,
}

struct Line {
    event: Event,
    begun: Instant,
    ended: Option<Instant>,
}

impl std::fmt::Debug for Terminal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Terminal")
    }
}

impl Terminal {
    /// Draws to `output`, a terminal of this size. `title` is `Running`, `Building`, …
    #[must_use]
    pub fn new(output: Output, title: &'static str, color: bool, (width, height): (usize, usize)) -> Self {
        Self { output, title, color, width: width.max(20), height: height.max(4), picture: Mutex::default() }
    }

    fn draw(&self, picture: &mut Picture) {
        let done = picture.lines.iter().filter(|line| line.event.phase != Phase::Working).count();
        let mut text = if picture.drawn > 0 { format!("\x1b[{}A", picture.drawn) } else { String::new() };
        text.push_str(&format!("\x1b[2K[+] {} {done}/{}\n", self.title, picture.lines.len()));
        let name = picture.lines.iter().map(|line| line.event.resource.chars().count()).max().unwrap_or(0);
        // A picture higher than the screen would smear: the oldest finished lines are left out.
        let hidden = picture.lines.len().saturating_sub(self.height - 2);
        let mut skip = hidden;
        let mut shown = 0;
        for line in &picture.lines {
            if skip > 0 && line.event.phase != Phase::Working {
                skip -= 1;
                continue;
            }
            shown += 1;
            text.push_str(&self.line(line, name, picture.frame));
        }
        for _ in (shown + 1)..picture.drawn {
            text.push_str("\x1b[2K\n");
        }
        picture.drawn = picture.drawn.max(shown + 1);
        write(&self.output, &text);
    }

    fn line(&self, line: &Line, name: usize, frame: usize) -> String {
        let (mark, color) = match line.event.phase {
            Phase::Working => (SPINNER[frame % SPINNER.len()], "36"),
            Phase::Done => ("✔", "32"),
            Phase::Failed => ("✘", "31"),
            Phase::Skipped => ("-", "33"),
        };
        let elapsed = line.ended.unwrap_or_else(Instant::now).duration_since(line.begun);
        let time = format!("{:.1}s", elapsed.as_secs_f64());
        let mut body = format!("{:<name$}  {}", line.event.resource, line.event.status);
        if !line.event.detail.is_empty() {
            body.push_str("  ");
            body.push_str(&line.event.detail);
        }
        let room = self.width.saturating_sub(time.len() + 4);
        let body: String = body.chars().take(room).collect();
        match self.color {
            true => format!("\x1b[2K \x1b[{color}m{mark}\x1b[0m {body:<room$}\x1b[34m{time}\x1b[0m\n"),
            false => format!("\x1b[2K {mark} {body:<room$}{time}\n"),
        }
    }
}

impl Reporter for Terminal {
    fn event(&self, event: Event) {
        let mut picture = self.picture.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let ended = (event.phase != Phase::Working).then_some(now);
        match picture.lines.iter_mut().find(|line| line.event.resource == event.resource) {
            Some(line) => {
                line.ended = ended;
                line.event = event;
            }
            None => picture.lines.push(Line { event, begun: now, ended }),
        }
        self.draw(&mut picture);
    }

    fn warn(&self, text: &str) {
        self.finish();
        write(&self.output, &format!("WARN: {text}\n"));
    }

    fn build_output(&self, service: &str, text: &str) {
        self.finish();
        let lines: String = text
            .lines()
            .filter(|line| !line.trim().is_empty())
            .map(|line| format!("{service}: {line}\n"))
            .collect();
        write(&self.output, &lines);
    }

    fn tick(&self) {
        let mut picture = self.picture.lock().unwrap_or_else(PoisonError::into_inner);
        if picture.lines.iter().any(|line| line.event.phase == Phase::Working) {
            picture.frame += 1;
            self.draw(&mut picture);
        }
    }

    fn wants_ticks(&self) -> bool {
        true
    }

    fn finish(&self) {
        let mut picture = self.picture.lock().unwrap_or_else(PoisonError::into_inner);
        picture.lines.retain(|line| line.event.phase == Phase::Working);
        picture.drawn = 0;
    }
}

/// How often to redraw.
pub(crate) const FRAME: Duration = Duration::from_millis(100);
