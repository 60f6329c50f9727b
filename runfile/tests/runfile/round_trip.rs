//! What is written back reads as the same run, and nothing that is read ends in a panic.

use tumble_domain::Seed;
use tumble_domain::seed::Stream;
use tumble_runfile::{canonical, summary};

use crate::fakes::read;

/// Draws by address, so that a failing case comes back on every machine.
struct Draws {
    case: u32,
    drawn: u32,
}

impl Draws {
    fn below(&mut self, end: u32) -> u32 {
        self.drawn += 1;
        Seed(5).noise(Stream::Evaluator, 0, self.case, 0, self.drawn)[0] % end
    }

    fn often(&mut self) -> bool {
        self.below(4) > 0
    }

    fn number(&mut self) -> String {
        let digits = f64::from(self.below(1_000_000)) / 250_000.0;
        [format!("{digits:?}"), format!("{}e-3", self.below(1000)), "0".to_owned(), "1_0.5e-1".to_owned()]
            [self.below(4) as usize]
            .clone()
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len() as u32) as usize]
    }

    /// The values of an axis of numbers, from 0 to 4.
    fn axis(&mut self, samples: bool) -> String {
        let points = 2 + self.below(5);
        let points = if samples && self.often() { String::new() } else { format!(", points = {points}") };
        match self.below(4) {
            0 => format!("{{ linear = [0.0, {}.5]{points} }}", 1 + self.below(3)),
            1 => format!("{{ log = [0.001, {}]{points} }}", 1 + self.below(3)),
            2 => self.number(),
            _ => format!("[{}, {}, 1e-9]", self.number(), self.number()),
        }
    }

    /// A run file that is right.
    fn run_file(&mut self) -> String {
        let mut out = String::new();
        let kind = self.below(3);
        let (evolves, sweeps) = (kind != 0, kind != 1);
        let searches_axes = evolves && !self.often();
        let mut line = |yes: bool, text: String| {
            if yes {
                out.push_str(&text);
                out.push('\n');
            }
        };
        line(true, "pipeline = \"functions\"".to_owned());
        line(self.often(), format!("name = \"run-{}\"", self.below(100)));
        line(self.often(), format!("seed = {}", u64::from(self.below(u32::MAX)) << self.below(33)));
        line(self.often(), format!("replicates = {}", 1 + self.below(9)));
        line(self.often(), format!("objective = \"{}\"", self.pick(&["value", "-value", "distance"])));
        let dimension = 1 + self.below(9);
        line(true, format!("[config]\ndimension = {dimension}"));
        let is_rotated = !searches_axes && self.often();
        line(is_rotated, format!("rotated = {}", self.pick(&["true", "false"])));
        let strategy_is_axis = sweeps && !self.often();
        let mut start_is_axis = false;
        if evolves {
            line(true, "[evolve]".to_owned());
            let strategies = if searches_axes && !sweeps { ["ga", "random"] } else { ["cma-es", "random"] };
            line(!strategy_is_axis, format!("strategy = \"{}\"", self.pick(&strategies)));
            line(!sweeps && self.often(), format!("population = {}", 3 + self.below(60)));
            line(self.often(), format!("generations = {}", 1 + self.below(500)));
            line(!sweeps && !searches_axes && self.often(), format!("sigma = 0.{}", 1 + self.below(9)));
            let start: Vec<String> = (0..dimension).map(|_| self.number()).collect();
            let start = [
                format!("[{}]", start.join(", ")),
                format!("{{ uniform = [-{}, 4.{}] }}", self.number(), 1 + self.below(9)),
            ][usize::from(!self.often())]
            .clone();
            start_is_axis = sweeps && !searches_axes && !self.often();
            line(!start_is_axis && !searches_axes && self.often(), format!("start = {start}"));
            line(self.often(), format!("trial_seeds = \"{}\"", self.pick(&["fresh", "per-generation", "fixed"])));
            let evaluations =
                if self.often() { String::new() } else { format!(", evaluations = {}", self.below(9) + 1) };
            line(self.often(), format!("stop = {{ objective = -{}{evaluations} }}", self.number()));
            let values = self.pick(&["{ linear = [-1, 1] }", "{ log = [0.1, 1.0], points = 4 }", "[0.5, 1, 2]"]);
            let element = self.below(dimension);
            line(searches_axes, format!("[evolve.axes]\nrotated = [true, false]\nx{element} = {values}"));
            line(searches_axes && !sweeps, "function = [\"sphere\", \"ellipsoid\", \"rosenbrock\"]".to_owned());
        }
        if sweeps {
            let design = self.pick(&["grid", "random", "latin-hypercube", "sobol"]);
            let samples = design != "grid";
            line(true, format!("[sweep]\ndesign = \"{design}\""));
            line(samples, format!("points = {}", 1 + self.below(2000)));
            line(design == "latin-hypercube" && !self.often(), "criterion = \"maximin\"".to_owned());
            line(true, format!("[sweep.axes]\nnoise = {}", self.axis(samples)));
            line(evolves && strategy_is_axis, "evolve.strategy = [\"random\", \"cma-es\"]".to_owned());
            line(
                evolves,
                format!("evolve.sigma = {}", self.pick(&["0.5", "[1, 2]", "{ log = [0.1, 1], points = 3 }"])),
            );
            line(evolves && self.often(), "\"evolve.population\" = { integers = [4, 20] }".to_owned());
            line(start_is_axis, format!("\"evolve.start\" = [{}, 0.25]", self.number()));
            line(!evolves, format!("x{} = {}", self.below(dimension), self.axis(samples)));
            let function = self.pick(&["sphere", "ellipsoid", "rosenbrock"]);
            let has_function = self.often();
            line(has_function, format!("function = [\"{function}\"]"));
            let forms = ["{ values = [true, false], when", "{ values = true, when"];
            let rotated = format!("rotated = {} = {{ function = \"{function}\" }} }}", self.pick(&forms));
            line(has_function && !is_rotated && !searches_axes, rotated);
        }
        line(true, "[limits]".to_owned());
        line(self.often(), format!("timeout = \"{}ms\"", 1 + self.below(u32::MAX - 1)));
        line(self.often(), format!("wall = \"{}:0{}:59\"", self.below(1000), self.below(10)));
        line(self.often(), format!("attempts = {}", 1 + self.below(9)));
        line(self.often(), format!("on_failure = \"{}\"", self.pick(&["worst", "drop", "abort"])));
        out
    }

    /// The text with one slip: a line dropped, or a piece cut out, doubled, moved, cut off or overwritten.
    fn slip(&mut self, text: &str) -> String {
        let lines = text.lines().count() as u32;
        if lines > 1 && !self.often() {
            let dropped = self.below(lines) as usize;
            return text
                .lines()
                .enumerate()
                .filter(|(i, _)| *i != dropped)
                .map(|(_, line)| format!("{line}\n"))
                .collect();
        }
        let chars: Vec<char> = text.chars().collect();
        let a = self.below(chars.len() as u32 + 1) as usize;
        let b = (a + self.below(12) as usize).min(chars.len());
        let (head, piece, tail) = (&chars[..a], &chars[a..b], &chars[b..]);
        let odd =
            self.pick(&["\"", "[", "]", "{", "}", "=", ".", "\n", "-", "nan", "9e999", "é", "\u{7}", "#", "0x", "'"]);
        let odd: Vec<char> = odd.chars().collect();
        let parts: [&[char]; 4] = match self.below(5) {
            0 => [head, tail, &[], &[]],
            1 => [head, piece, piece, tail],
            2 => [piece, head, tail, &[]],
            3 => [head, &[], &[], &[]],
            _ => [head, &odd, tail, &[]],
        };
        parts.concat().into_iter().collect()
    }
}

#[test]
fn a_run_that_is_written_back_reads_as_the_same_run() {
    for case in 0..1500 {
        let text = Draws { case, drawn: 0 }.run_file();
        let first = read(&text, &[]).unwrap_or_else(|problems| panic!("case {case}:\n{text}\n{problems}"));
        let written = canonical(&first.spec, &first.description);
        let second = read(&written, &[]).unwrap_or_else(|problems| panic!("case {case}:\n{written}\n{problems}"));
        assert_eq!(second.spec, first.spec, "case {case}:\n{text}\n{written}");
        assert_eq!(canonical(&second.spec, &second.inner), written, "case {case}");
    }
}

#[test]
fn whatever_is_written_is_either_understood_or_told() {
    let (mut refused, mut kept) = (0, 0);
    for case in 0..4000 {
        let mut draws = Draws { case, drawn: 0 };
        let mut text = draws.run_file();
        for _ in 0..1 + draws.below(8) / 5 {
            text = draws.slip(&text);
        }
        let key = draws.slip("evolve.sigma");
        let value = draws.slip("[0.5, \"a\"]");
        let given = format!("{}={}", key.replace('=', ""), value);
        let overrides = if draws.often() { vec![] } else { vec![given.as_str()] };
        match read(&text, &overrides) {
            Err(problems) => {
                assert!(!problems.0.is_empty(), "case {case} is refused without a word:\n{text}");
                assert!(!problems.to_string().is_empty());
                refused += 1;
            }
            Ok(understood) => {
                let written = canonical(&understood.spec, &understood.description);
                let again = read(&written, &[]).unwrap_or_else(|p| panic!("case {case}:\n{written}\n{p}"));
                assert_eq!(again.spec, understood.spec, "case {case}");
                assert!(summary(&understood).trials > 0, "case {case}");
                kept += 1;
            }
        }
    }
    assert!(refused > 1000 && kept > 300, "both happen: {refused} refused, {kept} understood");
}
