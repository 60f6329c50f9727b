//! Small plots for a terminal, as text: lines, such as fitness over generations, and bars for a sweep over words.

/// A named line.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Series {
    /// What the legend calls it.
    pub(crate) name: String,
    /// The points in the order in which they are joined. One that is not finite leaves a gap.
    pub(crate) points: Vec<(f64, f64)>,
}

/// How much room a plot has, and which characters it may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Paper {
    /// Columns, labels included; at least 24 are used.
    pub(crate) width: usize,
    /// Rows that lines are drawn in; title, axis and legend come on top. At least 3 are used.
    pub(crate) height: usize,
    /// Whether the terminal shows Braille and blocks; else everything is ASCII.
    pub(crate) unicode: bool,
}

const WIDTH_MIN: usize = 24;
const HEIGHT_MIN: usize = 3;

/// Draws lines over common axes; an empty text when no point is finite. An axis is logarithmic when everything on it
/// is positive and spans more than two decades (for the horizontal one: and the points are spread evenly that way).
pub(crate) fn line(title: &str, series: &[Series], paper: Paper) -> String {
    let points = || series.iter().flat_map(|s| &s.points).copied().filter(is_finite);
    if points().next().is_none() {
        return String::new();
    }
    let (width, rows) = (paper.width.max(WIDTH_MIN), paper.height.max(HEIGHT_MIN));
    let mut xs: Vec<f64> = points().map(|(x, _)| x).collect();
    let ys: Vec<f64> = points().map(|(_, y)| y).collect();

    let y_log = spans_decades(&ys);
    // A logarithmic axis takes more ticks: its lines are read off by them.
    let y_axis = Axis::over(&ys, y_log, (rows / if y_log { 2 } else { 3 }).max(2));
    let labels: Vec<(f64, String)> = y_axis.ticks();
    let margin = labels.iter().map(|(_, label)| label.chars().count()).max().unwrap_or(0);
    // Two for the space and the axis itself. A margin of very long labels must not leave nothing to draw on.
    let columns = width.saturating_sub(margin + 2).max(WIDTH_MIN / 2);
    let x_log = spans_decades(&xs) && is_even_in_decades(&mut xs);
    let x_axis = Axis::over(&xs, x_log, (columns / if x_log { 8 } else { 12 }).max(2));

    let mut canvas = Canvas::new(columns, rows, paper.unicode && series.len() == 1);
    for (number, s) in series.iter().enumerate() {
        let mut last = None;
        for point in &s.points {
            let spot = is_finite(point).then(|| canvas.spot(x_axis.share(point.0), y_axis.share(point.1)));
            if let Some(to) = spot {
                canvas.stroke(last.unwrap_or(to), to, number);
            }
            last = spot;
        }
    }

    let marks = if paper.unicode { ["┤", "│", "└", "┬", "─"] } else { ["+", "|", "+", "+", "-"] };
    let mut text = Text::titled(title);
    let tick_rows: Vec<(usize, &str)> =
        labels.iter().map(|(share, label)| (canvas.cell(0.0, *share).1, label.as_str())).collect();
    for row in 0..rows {
        let label = tick_rows.iter().find(|(tick, _)| *tick == row).map(|(_, label)| *label);
        let axis = if label.is_some() { marks[0] } else { marks[1] };
        text.line(&format!("{:>margin$} {axis}{}", label.unwrap_or(""), canvas.row(row, paper.unicode)));
    }
    let ticks: Vec<(usize, String)> =
        x_axis.ticks().into_iter().map(|(share, label)| (canvas.cell(share, 0.0).0, label)).collect();
    let base: String =
        (0..columns).map(|c| if ticks.iter().any(|(tick, _)| *tick == c) { marks[3] } else { marks[4] }).collect();
    text.line(&format!("{:>margin$} {}{base}", "", marks[2]));
    text.line(&labels_below(&ticks, margin + 2, margin + 2 + columns));
    if series.len() > 1 {
        let entry = |(number, s): (usize, &Series)| format!("{} {}", glyph(number, paper.unicode), s.name);
        let legend: Vec<String> = series.iter().enumerate().map(entry).collect();
        text.line(&format!("{:>margin$}  {}", "", legend.join("   ")));
    }
    text.0
}

/// Draws a bar for each value, from zero; an empty text when no value is finite. A value that is not finite is
/// written without a bar.
pub(crate) fn bars(title: &str, values: &[(String, f64)], width: usize, unicode: bool) -> String {
    let finite = || values.iter().map(|(_, value)| *value).filter(|value| value.is_finite());
    if finite().next().is_none() {
        return String::new();
    }
    let width = width.max(WIDTH_MIN);
    let label_width = values.iter().map(|(label, _)| label.chars().count()).max().unwrap_or(0).min(width / 3);
    let number_width = values.iter().map(|(_, value)| number(*value).chars().count()).max().unwrap_or(0);
    let columns = width.saturating_sub(label_width + number_width + 3).max(WIDTH_MIN / 4);
    let (low, high) = finite().fold((0.0f64, 0.0f64), |(low, high), value| (low.min(value), high.max(value)));
    // Halves, because the span of the largest numbers overflows.
    let share = |value: f64| match high / 2.0 - low / 2.0 {
        0.0 => 0.0,
        span => (value / 2.0 - low / 2.0) / span,
    };
    let eighths = |value: f64| (share(value) * (columns * 8) as f64).round() as usize;
    let cells = |value: f64| (eighths(value) + 4) / 8;

    let mut text = Text::titled(title);
    for (label, value) in values {
        let bar = match value.is_finite() {
            false => String::new(),
            // A bar to the left of zero has no block that is filled from the right, so both sides take whole cells.
            true if low < 0.0 => {
                let (zero, end) = (cells(0.0), cells(*value));
                let (from, to) = (zero.min(end), zero.max(end));
                format!("{}{}", " ".repeat(from), if unicode { "█" } else { "#" }.repeat(to - from))
            }
            true if unicode => blocks(eighths(*value)),
            true => "#".repeat(cells(*value)),
        };
        let (label, number) = (shortened(label, label_width, unicode), number(*value));
        text.line(&format!("{label:<label_width$} {bar:<columns$} {number:>number_width$}"));
    }
    text.0
}

/// A bar in eighths of a cell.
fn blocks(eighths: usize) -> String {
    let rest = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"][eighths % 8];
    format!("{}{rest}", "█".repeat(eighths / 8))
}

/// A label cut to a number of characters, with a sign that it was.
fn shortened(label: &str, width: usize, unicode: bool) -> String {
    if label.chars().count() <= width {
        return label.to_owned();
    }
    let kept: String = label.chars().take(width.saturating_sub(1)).collect();
    format!("{kept}{}", if unicode { '…' } else { '~' })
}

/// Lines of text without blanks at their ends.
struct Text(String);

impl Text {
    fn titled(title: &str) -> Text {
        let mut text = Text(String::new());
        if !title.is_empty() {
            text.line(title);
        }
        text
    }

    fn line(&mut self, line: &str) {
        self.0.push_str(line.trim_end());
        self.0.push('\n');
    }
}

/// Writes labels under their ticks; one that would touch its neighbour is left out.
fn labels_below(ticks: &[(usize, String)], margin: usize, width: usize) -> String {
    let mut line = String::new();
    let mut used = 0;
    for (column, label) in ticks {
        let length = label.chars().count();
        let start = (margin + column).saturating_sub(length / 2).min(width.saturating_sub(length));
        if used == 0 || start > used {
            line.push_str(&" ".repeat(start.saturating_sub(used)));
            line.push_str(label);
            used = start.max(used) + length;
        }
    }
    line
}

/// An axis: a linear one goes from one round number to another.
enum Axis {
    /// The ticks are the whole multiples from `first` to `last` of `step × 10^exponent`.
    Linear { first: i64, last: i64, step: i64, exponent: i32, unit: f64 },
    /// The logarithms of the ends, which are the data's own, and the powers of ten between them that have ticks: every
    /// `stride`-th. Round ends would leave a third of the axis empty.
    Log { low: f64, high: f64, first: i32, last: i32, stride: usize },
}

impl Axis {
    /// The axis that holds these values (at least one), with about `ticks` intervals.
    fn over(values: &[f64], log: bool, ticks: usize) -> Axis {
        let (low, high) = extent(values);
        if log {
            let (low, high) = (low.log10(), high.log10());
            // More than two decades hold at least two powers of ten.
            let (first, last) = (low.ceil() as i32, high.floor() as i32);
            return Axis::Log { low, high, first, last, stride: ((last - first) as usize).div_ceil(ticks.max(1)) };
        }
        // Where all is equal up to the last digits, the axis shows the value in its middle.
        let size = low.abs().max(high.abs());
        let (low, high) = match high - low > size * 1e-12 && high - low > 1e-290 {
            true => (low, high),
            false if size < 1e-290 => (-1.0, 1.0),
            false => (low - size / 2.0, high + size / 2.0),
        };
        // The smallest of 1, 2, 5, 10 … × 10^k that needs no more than `ticks` steps. Whole numbers take whole steps.
        let whole = values.iter().all(|v| v.fract() == 0.0 && v.abs() < 1e15);
        let mut exponent = ((high - low) / ticks as f64).log10().floor() as i32;
        if whole {
            exponent = exponent.max(0);
        }
        let steps = (exponent..=exponent + 2).flat_map(|e| [1, 2, 5].map(|step| (step, e)));
        let fits = |&(step, e): &(i64, i32)| (high - low) / (step as f64 * power_of_ten(e)) <= ticks as f64;
        let (step, exponent) = steps.clone().find(fits).unwrap_or((1, exponent + 2));
        let unit = step as f64 * power_of_ten(exponent);
        Axis::Linear { first: (low / unit).floor() as i64, last: (high / unit).ceil() as i64, step, exponent, unit }
    }

    /// Where a value stands between the axis's ends, from 0 to 1.
    fn share(&self, value: f64) -> f64 {
        let share = match self {
            Axis::Linear { first, last, unit, .. } => {
                (bounded(value) / unit - *first as f64) / (last - first).max(1) as f64
            }
            Axis::Log { low, high, .. } => (value.log10() - low) / (high - low),
        };
        share.clamp(0.0, 1.0)
    }

    /// The ticks, each with where it stands and what is written beside it.
    fn ticks(&self) -> Vec<(f64, String)> {
        match self {
            Axis::Linear { first, last, step, exponent, .. } => (*first..=*last)
                .map(|tick| {
                    let share = (tick - first) as f64 / (last - first).max(1) as f64;
                    (share, decimal(tick * step, *exponent))
                })
                .collect(),
            Axis::Log { low, high, first, last, stride } => (*first..=*last)
                .step_by((*stride).max(1))
                .map(|tick| ((f64::from(tick) - low) / (high - low), decimal(1, tick)))
                .collect(),
        }
    }
}

fn is_finite(point: &(f64, f64)) -> bool {
    point.0.is_finite() && point.1.is_finite()
}

/// Keeps the largest numbers so far from infinity that a span of two of them is finite.
fn bounded(value: f64) -> f64 {
    value.clamp(-1e300, 1e300)
}

fn extent(values: &[f64]) -> (f64, f64) {
    let bounded = values.iter().map(|value| bounded(*value));
    bounded.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)))
}

fn spans_decades(values: &[f64]) -> bool {
    let (low, high) = extent(values);
    // In quotients of logarithms, since the quotient of the numbers may overflow.
    low > 0.0 && high.log10() - low.log10() > 2.0
}

/// Whether the middle value is nearer to the middle of the logarithms than to that of the numbers: 1, 10, 100, 1000
/// is, the generations 1 to 1000 are not.
fn is_even_in_decades(values: &mut [f64]) -> bool {
    let (low, high) = extent(values);
    let (_, middle, _) = values.select_nth_unstable_by(values.len() / 2, f64::total_cmp);
    let even = (*middle - low) / (high - low);
    let even_in_decades = (middle.log10() - low.log10()) / (high.log10() - low.log10());
    (even_in_decades - 0.5).abs() < (even - 0.5).abs()
}

/// The number nearest to a power of ten.
fn power_of_ten(exponent: i32) -> f64 {
    format!("1e{exponent}").parse().unwrap_or(f64::INFINITY)
}

/// `digits × 10^exponent`, written out while that is short.
fn decimal(digits: i64, exponent: i32) -> String {
    let size = digits.unsigned_abs().checked_ilog10().unwrap_or(0) as i32 + exponent;
    if digits == 0 {
        return "0".to_owned();
    }
    if size < 6 && exponent >= -4 {
        return match usize::try_from(-exponent) {
            Ok(decimals) => format!("{:.decimals$}", digits as f64 * power_of_ten(exponent)),
            Err(_) => format!("{digits}{}", "0".repeat(exponent as usize)),
        };
    }
    scientific(digits as f64 * power_of_ten(exponent), (size - exponent) as usize)
}

/// A number to four digits; what is no number as the run file spells it.
fn number(value: f64) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    if !value.is_finite() {
        return value.to_string().to_lowercase();
    }
    let size = value.abs().log10().floor() as i32;
    if !(-4..6).contains(&size) {
        return scientific(value, 3);
    }
    let written = format!("{value:.*}", (3 - size).max(0) as usize);
    match written.contains('.') {
        true => written.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => written,
    }
}

/// As `1.5e-7`, with so many decimals at most.
fn scientific(value: f64, decimals: usize) -> String {
    let written = format!("{value:.decimals$e}");
    match written.split_once('e') {
        Some((mantissa, exponent)) if mantissa.contains('.') => {
            format!("{}e{exponent}", mantissa.trim_end_matches('0').trim_end_matches('.'))
        }
        _ => written,
    }
}

/// What the cells of a series show where several share a plot; the fifth takes the first's again.
fn glyph(series: usize, unicode: bool) -> char {
    let glyphs = if unicode { ['•', '×', '+', '○'] } else { ['*', 'o', '+', 'x'] };
    glyphs[series % glyphs.len()]
}

/// The area that lines are drawn in. One line has the dots of Braille, two columns and four rows of them in a cell;
/// several have a cell for a dot, because a cell of Braille cannot say whose dots it holds.
struct Canvas {
    columns: usize,
    rows: usize,
    braille: bool,
    /// For each cell the dots of Braille, or one more than the series that holds it; 0 is empty.
    cells: Vec<u8>,
}

/// A dot, counted from the left and from the top.
type Spot = (i64, i64);

impl Canvas {
    fn new(columns: usize, rows: usize, braille: bool) -> Canvas {
        Canvas { columns, rows, braille, cells: vec![0; columns * rows] }
    }

    /// Dots in a cell, across and down.
    fn dots(&self) -> (usize, usize) {
        if self.braille { (2, 4) } else { (1, 1) }
    }

    /// The dot at a share of the width and of the height, which grows upwards.
    fn spot(&self, x: f64, y: f64) -> Spot {
        let (across, down) = self.dots();
        let right = (x * (self.columns * across - 1) as f64).round() as i64;
        let below = ((1.0 - y) * (self.rows * down - 1) as f64).round() as i64;
        (right, below)
    }

    /// The cell of that dot.
    fn cell(&self, x: f64, y: f64) -> (usize, usize) {
        let ((right, below), (across, down)) = (self.spot(x, y), self.dots());
        (right as usize / across, below as usize / down)
    }

    /// A straight stroke: as many dots as its longer side has.
    fn stroke(&mut self, from: Spot, to: Spot, series: usize) {
        let (right, below) = (to.0 - from.0, to.1 - from.1);
        let length = right.abs().max(below.abs());
        for dot in 0..=length {
            let along = |side: i64| if length == 0 { 0 } else { (2 * side * dot + length).div_euclid(2 * length) };
            self.set((from.0 + along(right), from.1 + along(below)), series);
        }
    }

    fn set(&mut self, (right, below): Spot, series: usize) {
        let ((across, down), (right, below)) = (self.dots(), (right as usize, below as usize));
        let cell = &mut self.cells[below / down * self.columns + right / across];
        if self.braille {
            // The order of the dots in the Unicode block "Braille Patterns": 1 2 3 7 down the left, 4 5 6 8 the right.
            *cell |= [[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]][below % down][right % across];
        } else if *cell == 0 {
            // Whoever is named first stays on top.
            *cell = (series % 4) as u8 + 1;
        }
    }

    fn row(&self, row: usize, unicode: bool) -> String {
        let show = |cell: &u8| match cell {
            0 => ' ',
            dots if self.braille => char::from_u32(0x2800 + u32::from(*dots)).unwrap_or(' '),
            series => glyph(usize::from(series - 1), unicode),
        };
        self.cells[row * self.columns..(row + 1) * self.columns].iter().map(show).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNICODE: Paper = Paper { width: 48, height: 7, unicode: true };
    const ASCII: Paper = Paper { unicode: false, ..UNICODE };

    fn series(name: &str, points: impl IntoIterator<Item = (f64, f64)>) -> Series {
        Series { name: name.to_owned(), points: points.into_iter().collect() }
    }

    fn over(range: std::ops::Range<u32>, f: impl Fn(f64) -> f64) -> Vec<(f64, f64)> {
        range.map(|x| (f64::from(x), f(f64::from(x)))).collect()
    }

    /// The plot is what stands between the bars' lines; the first line break is there for the eye.
    fn check(plot: &str, expect: &str) {
        assert_eq!(plot, expect.strip_prefix('\n').unwrap_or(expect), "this was drawn:\n{plot}");
    }

    fn valley() -> Vec<Series> {
        vec![series("best", over(0..41, |x| 0.25 * (x - 20.0) * (x - 20.0)))]
    }

    #[test]
    fn one_line_is_drawn_in_braille_between_round_numbers() {
        check(
            &line("value over generations", &valley(), UNICODE),
            "
value over generations
100 ┤⠱⡀                                       ⢀⠎
    │ ⠈⠢⡀                                   ⢀⠔⠁
    │   ⠈⠢⡀                               ⢀⡠⠃
 50 ┤     ⠈⠢⡀                           ⢀⠔⠁
    │       ⠈⠒⢄                       ⡠⠒⠁
    │          ⠉⠢⢄⡀               ⢀⡠⠔⠉
  0 ┤             ⠈⠑⠒⠢⠤⢄⣀⣀⣀⣀⣀⡠⠤⠔⠒⠊⠁
    └┬────────────────────┬────────────────────┬
     0                   20                   40
",
        );
    }

    #[test]
    fn where_braille_is_not_shown_it_is_drawn_in_ascii() {
        check(
            &line("value over generations", &valley(), ASCII),
            "
value over generations
100 +*                                         *
    | **                                     **
    |   **                                 **
 50 +     ***                           ***
    |        **                       **
    |          ******           ******
  0 +                ***********
    ++--------------------+--------------------+
     0                   20                   40
",
        );
    }

    #[test]
    fn several_lines_have_signs_of_their_own_and_a_legend() {
        let lines = [series("best", over(0..41, |x| x)), series("mean", over(0..41, |x| x * x / 40.0))];
        check(
            &line("fitness", &lines, UNICODE),
            "
fitness
40 ┤                                        ••••
   │                                 •••••••××
   │                          •••••••×××××
20 ┤                  ••••••••  ×××××
   │            ••••••     ×××××
   │    •••••••• ××××××××××
 0 ┤••••×××××××××
   └┬─────────────────────┬────────────────────┬
    0                    20                   40
    • best   × mean
",
        );
        check(
            &line("fitness", &lines, ASCII),
            "
fitness
40 +                                        ****
   |                                 *******oo
   |                          *******ooooo
20 +                  ********  ooooo
   |            ******     ooooo
   |    ******** oooooooooo
 0 +****ooooooooo
   ++---------------------+--------------------+
    0                    20                   40
    * best   o mean
",
        );
    }

    #[test]
    fn numbers_over_more_than_two_decades_take_a_logarithmic_axis_and_generations_do_not() {
        check(
            &line("", &[series("cost", over(1..1001, |x| 1.0 / x))], ASCII),
            "
    1 +*
      |*
  0.1 +**
      | **
 0.01 +  ******
      |       ****************
0.001 +                       ******************
      ++-------------------+-------------------+
       0                  500               1000
",
        );
        let snr = (0..9).map(|i| power_of_ten(i - 4)).map(|x| (x, 1.0 / (1.0 + x)));
        check(
            &line("error rate over snr", &[series("error_rate", snr)], ASCII),
            "
error rate over snr
       |*********************
   0.1 +                     **
       |                       ****
  0.01 +                           ****
 0.001 +                               **
       |                                 ****
0.0001 +                                     ***
       ++---------+---------+--------+---------+
     0.0001     0.01        1       100    10000
",
        );
    }

    #[test]
    fn a_point_that_is_not_finite_leaves_a_gap() {
        let points = [(0.0, 1.0), (1.0, 2.0), (2.0, f64::NAN), (3.0, 2.0), (f64::INFINITY, 9.0), (4.0, 1.0)];
        check(
            &line("", &[series("best", points)], ASCII),
            "
2 +           *                     *
  |         **
  |       **
  |     **
  |   **
  | **
1 +*                                           *
  ++---------------------+---------------------+
   0                     2                     4
",
        );
    }

    #[test]
    fn nothing_to_draw_is_an_empty_text() {
        assert_eq!(line("title", &[], UNICODE), "");
        assert_eq!(line("title", &[series("best", [])], UNICODE), "");
        assert_eq!(line("title", &[series("best", [(0.0, f64::NAN), (f64::INFINITY, 1.0)])], ASCII), "");
        assert_eq!(bars("title", &[], 40, true), "");
        assert_eq!(bars("title", &[("hebb".to_owned(), f64::NAN)], 40, true), "");
    }

    #[test]
    fn bars_begin_at_zero_and_end_in_eighths() {
        let bar = |label: &str, value: f64| (label.to_owned(), value);
        let values =
            [bar("hebb", 0.8312), bar("delta", 0.42), bar("a-rule-of-many-words", 0.05), bar("none", f64::NAN)];
        check(
            &bars("accuracy", &values, 40, true),
            "
accuracy
hebb          ██████████████████ 0.8312
delta         █████████▏           0.42
a-rule-of-ma… █▏                   0.05
none                                nan
",
        );
        check(
            &bars("accuracy", &values, 40, false),
            "
accuracy
hebb          ################## 0.8312
delta         #########            0.42
a-rule-of-ma~ #                    0.05
none                                nan
",
        );
        check(
            &bars("", &[bar("hebb", -3.0), bar("delta", 5.5), bar("oja", 0.0)], 40, true),
            "
hebb  ██████████                     -3
delta           ███████████████████ 5.5
oja                                   0
",
        );
    }

    /// Every odd set of numbers is drawn within its paper: nothing panics, no label is cut, no line is too long.
    #[test]
    fn any_numbers_fit_on_their_paper() {
        let odd = [0.0, -0.0, 1.0, 3.0, -7.5, 1e-310, 1e-12, 1e15, 1e16 + 2.0, 1e300, f64::MAX, f64::MIN, 0.1, 1e6];
        for a in odd {
            for b in odd {
                for c in odd {
                    for paper in [UNICODE, Paper { width: 0, height: 0, unicode: false }] {
                        let plot = line("", &[series("best", [(a, b), (b, c), (c, a)])], paper);
                        let rows = plot.lines().count();
                        assert_eq!(rows, paper.height.max(HEIGHT_MIN) + 2, "{a} {b} {c}:\n{plot}");
                        let longest = plot.lines().map(|l| l.chars().count()).max();
                        assert!(longest <= Some(paper.width.max(WIDTH_MIN)), "{a} {b} {c}:\n{plot}");
                        let drawn = plot.chars().any(|sign| sign == '*' || ('\u{2801}'..='\u{28FF}').contains(&sign));
                        assert!(drawn, "{a} {b} {c}:\n{plot}");
                    }
                    let values = [a, b, c].map(|value| ("hebb".to_owned(), value));
                    let bars = bars("", &values, 40, true);
                    assert!(bars.lines().all(|l| l.chars().count() <= 40), "{bars}");
                }
            }
        }
    }

    #[test]
    fn numbers_are_written_short() {
        let numbers = [0.0, 1.0, -0.5, 0.83123, 12.3456, 1234.56, 123456.7, 1234567.0, 0.00012345, 1e-9, f64::INFINITY];
        let expect = ["0", "1", "-0.5", "0.8312", "12.35", "1235", "123457", "1.235e6", "0.0001234", "1e-9", "inf"];
        assert_eq!(numbers.map(number), expect);
        let ticks = [(0, 3), (25, -2), (-5, 0), (2, 4), (1, 6), (15, 6), (-25, 299), (1, -4), (1, -7)];
        let expect = ["0", "0.25", "-5", "20000", "1e6", "1.5e7", "-2.5e300", "0.0001", "1e-7"];
        assert_eq!(ticks.map(|(digits, exponent)| decimal(digits, exponent)), expect);
    }
}
