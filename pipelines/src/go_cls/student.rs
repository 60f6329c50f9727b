//! The student: a linear network that starts at nothing and descends the whole batch's gradient, epoch after epoch.
//!
//! Source: Sun et al. (2023), Methods: w ← w + η Xᵀ(y - X w), where replay puts the notebook's reactivations in the
//! place of the examples. Both errors are kept for every epoch, for the question is when to stop.

use tumble_domain::{Failure, Seed};

use super::notebook::Notebook;
use super::teacher::{Examples, Teacher};
use crate::pipeline::Watch;

/// How a student's errors went: element t is the error after t epochs.
#[derive(Default)]
pub(super) struct Course {
    /// Over all possible examples, by [`Teacher::generalisation`].
    pub(super) generalisation: Vec<f64>,
    /// On the training examples.
    pub(super) memory: Vec<f64>,
}

impl Course {
    /// The epoch after which the student generalises best; the first of several.
    pub(super) fn best(&self) -> usize {
        let errors = self.generalisation.iter().enumerate();
        errors.fold(0, |best, (t, error)| if *error < self.generalisation[best] { t } else { best })
    }
}

/// Teaches a student for `epochs` epochs, from the examples or from what the notebook reactivates of them; `course` has how
/// it went so far, also when the student diverges.
pub(super) fn learn(
    course: &mut Course,
    teacher: &Teacher,
    examples: &Examples,
    (rate, epochs): (f64, usize),
    mut replay: Option<(&mut Notebook, Seed)>,
    watch: &Watch,
) -> Result<(), Failure> {
    let (width, count) = (examples.width, examples.outputs.len());
    let columns = transposed(&examples.inputs, width);
    let mut student = vec![0.0; width];
    let mut residuals = vec![0.0; count];
    let mut pulls = vec![0.0; count];
    let mut parts = vec![0.0; count];
    for epoch in 0..=epochs {
        watch.check()?;
        pulls.fill(0.0);
        accumulate(&mut pulls, &columns, &student);
        residuals.iter_mut().zip(&examples.outputs).zip(&pulls).for_each(|((r, y), answer)| *r = y - answer);
        course.memory.push(residuals.iter().map(|r| r * r).sum::<f64>() / count as f64);
        let generalisation = teacher.generalisation(&student);
        if !generalisation.is_finite() {
            let reason = format!("the student diverged in epoch {epoch}: `learning_rate` is too large");
            return Err(Failure::Failed(reason));
        }
        course.generalisation.push(generalisation);
        if epoch == epochs {
            break;
        }

        match &mut replay {
            None => pulls.copy_from_slice(&residuals),
            // A reactivated example is a sum A of stored ones, inputs and outputs alike, so its residual is the same
            // sum of theirs and the gradient (AX)ᵀ(Ay - AX w) is Xᵀ Aᵀ A (y - X w).
            Some((notebook, seed)) => {
                pulls.fill(0.0);
                for member in 0..count as u32 {
                    notebook.reactivate(*seed, epoch as u32, member, &mut parts);
                    let residual: f64 = parts.iter().zip(&residuals).map(|(a, r)| a * r).sum();
                    pulls.iter_mut().zip(&parts).for_each(|(pull, a)| *pull += residual * a);
                }
            }
        }
        pulls.iter_mut().for_each(|pull| *pull *= rate);
        accumulate(&mut student, &examples.inputs, &pulls);
    }
    Ok(())
}

/// Adds `weights[i]` times row `i` to `into`, rows in their order. Four rows at a time are added while an output is at
/// hand, which spares loads and stores and leaves each output's sum in the same order.
fn accumulate(into: &mut [f64], rows: &[f64], weights: &[f64]) {
    let width = into.len();
    let (mut quads, mut quad_weights) = (rows.chunks_exact(4 * width), weights.chunks_exact(4));
    for (quad, w) in (&mut quads).zip(&mut quad_weights) {
        let (a, b, c, d) =
            (&quad[..width], &quad[width..2 * width], &quad[2 * width..3 * width], &quad[3 * width..4 * width]);
        for i in 0..width {
            into[i] = into[i] + w[0] * a[i] + w[1] * b[i] + w[2] * c[i] + w[3] * d[i];
        }
    }
    for (row, w) in quads.remainder().chunks_exact(width).zip(quad_weights.remainder()) {
        into.iter_mut().zip(row).for_each(|(sum, x)| *sum += w * x);
    }
}

fn transposed(rows: &[f64], width: usize) -> Vec<f64> {
    (0..width).flat_map(|j| rows.chunks_exact(width).map(move |row| row[j])).collect()
}

#[cfg(test)]
mod tests {
    use super::super::teacher::Variances;
    use super::super::theory::Theory;
    use super::*;

    fn taught(seed: u64, snr: f64, (inputs, count): (usize, usize), rate: f64, epochs: usize) -> Course {
        let teacher = Teacher::drawn(Seed(seed), inputs, Variances::of(snr));
        let examples = teacher.training(count);
        course(&teacher, &examples, (rate, epochs), None)
    }

    fn course(
        teacher: &Teacher,
        examples: &Examples,
        (rate, epochs): (f64, usize),
        replay: Option<(&mut Notebook, Seed)>,
    ) -> Course {
        let mut course = Course::default();
        learn(&mut course, teacher, examples, (rate, epochs), replay, &Watch::unlimited()).expect("it converges");
        course
    }

    /// `epochs` only prolongs a trial: the first epochs of a longer one are those of a shorter one, to the bit, also where
    /// the notebook draws anew in every epoch.
    #[test]
    fn a_shorter_course_is_the_beginning_of_a_longer_one() {
        let teacher = Teacher::drawn(Seed(5), 20, Variances::of(1.0));
        let examples = teacher.training(20);
        for replays in [false, true] {
            let after = |epochs| {
                let mut notebook = Notebook::drawn(Seed(5), 200, 0.05, 20).expect("it has units");
                notebook.error(&examples, &examples, || Ok(())).expect("nobody interrupts");
                let source = replays.then_some((&mut notebook, Seed(5)));
                course(&teacher, &examples, (0.01, epochs), source)
            };
            let (short, long) = (after(7), after(20));
            assert_eq!((&long.generalisation[..8], &long.memory[..8]), (&short.generalisation[..], &short.memory[..]));
            assert_ne!(long.memory[8], long.memory[7]);
        }
    }

    /// Mean and standard error.
    fn mean(numbers: impl Iterator<Item = f64> + Clone) -> (f64, f64) {
        let n = numbers.clone().count() as f64;
        let mean = numbers.clone().sum::<f64>() / n;
        let variance = numbers.map(|x| (x - mean) * (x - mean)).sum::<f64>() / (n - 1.0);
        (mean, (variance / n).sqrt())
    }

    /// The reference means of 300 teachers (at the best epoch of theory, and after 2000) are of another 300, so two
    /// such means differ by √2 standard errors; four of these are allowed, and half the last digit.
    #[track_caller]
    fn three_hundred_students_agree(snr: f64, early: f64, late: f64) {
        let theory = Theory::new(1.0, Variances::of(snr), 10.0);
        let best = (theory.best_time(10.0) / 0.005).round() as usize;
        let courses: Vec<Course> = (0..300).map(|seed| taught(seed, snr, (100, 100), 0.005, 2000)).collect();
        for (epoch, stated) in [(best, early), (2000, late)] {
            let (found, error) = mean(courses.iter().map(|c| c.generalisation[epoch]));
            let allowed = 4.0 * 2.0f64.sqrt() * error + 0.0005;
            assert!((found - stated).abs() < allowed, "epoch {epoch}: {found} ± {error} for {stated}");
            // The theory is of infinitely many inputs and endless small steps: 1% covers both at 100 inputs.
            for (errors, expected) in [
                (
                    courses.iter().map(|c| c.generalisation[epoch]).collect::<Vec<f64>>(),
                    theory.generalisation(0.005 * epoch as f64),
                ),
                (courses.iter().map(|c| c.memory[epoch]).collect(), theory.memory(0.005 * epoch as f64)),
            ] {
                let (found, error) = mean(errors.into_iter());
                assert!(
                    (found - expected).abs() < 4.0 * error + 0.01 * expected,
                    "epoch {epoch}: {found} for {expected}"
                );
            }
        }
        let curve: Vec<f64> = (0..=2000).map(|t| mean(courses.iter().map(|c| c.generalisation[t])).0).collect();
        let least = curve.iter().fold(f64::INFINITY, |least, e| least.min(*e));
        assert!(curve[best] - least < 1e-3 * least, "theory stops at {} where {least} was to be had", curve[best]);
    }

    #[test]
    fn a_student_of_a_noisy_teacher_does_as_the_published_ones() {
        three_hundred_students_agree(0.05, 0.998, 2.518);
    }

    #[test]
    fn a_student_of_a_teacher_half_noise_does_as_the_published_ones() {
        three_hundred_students_agree(1.0, 0.815, 1.385);
    }

    /// One input and one example: w_t = (y/x)(1 - (1 - ηx²)^t).
    #[test]
    fn a_student_of_one_number_follows_the_geometric_series() {
        let teacher = Teacher::drawn(Seed(1), 1, Variances::of(2.0));
        let examples = teacher.training(1);
        let (x, y, rate) = (examples.inputs[0], examples.outputs[0], 0.1);
        let course = course(&teacher, &examples, (rate, 50), None);
        for t in 0..=50 {
            let left = (1.0 - rate * x * x).powi(t as i32);
            assert!((course.memory[t] - y * y * left * left).abs() < 1e-13);
            let miss = teacher.weights[0] - y / x * (1.0 - left);
            assert!((course.generalisation[t] - miss * miss - 1.0 / 3.0).abs() < 1e-12);
        }
    }

    /// What replay teaches, against the reactivated inputs and outputs written out.
    #[test]
    fn a_replayed_epoch_is_a_step_along_the_gradient_of_the_reactivated_examples() {
        let (inputs, count, rate) = (6, 9, 0.1);
        let teacher = Teacher::drawn(Seed(3), inputs, Variances::of(4.0));
        let examples = teacher.training(count);
        let drawn = || Notebook::drawn(Seed(3), 200, 0.1, count).expect("20 units are active");
        let mut student = vec![0.0; inputs];
        let mut notebook = drawn();
        let mut parts = vec![0.0; count];
        for epoch in 0..5 {
            let mut step = vec![0.0; inputs];
            for member in 0..count as u32 {
                notebook.reactivate(Seed(3), epoch, member, &mut parts);
                let of = |values: &dyn Fn(usize) -> f64| (0..count).map(|p| parts[p] * values(p)).sum::<f64>();
                let x: Vec<f64> = (0..inputs).map(|j| of(&|p| examples.inputs[p * inputs + j])).collect();
                let y = of(&|p| examples.outputs[p]);
                let answer: f64 = x.iter().zip(&student).map(|(x, w)| x * w).sum();
                step.iter_mut().zip(&x).for_each(|(s, x)| *s += rate * x * (y - answer));
            }
            student.iter_mut().zip(&step).for_each(|(w, s)| *w += s);
        }
        let mut notebook = drawn();
        let course = course(&teacher, &examples, (rate, 5), Some((&mut notebook, Seed(3))));
        let found = course.generalisation[5];
        assert!((found - teacher.generalisation(&student)).abs() < 1e-13, "{found}");
        assert!(
            (found - taught(3, 4.0, (inputs, count), rate, 5).generalisation[5]).abs() > 1e-3,
            "replay does nothing"
        );
    }

    #[test]
    fn four_rows_at_a_time_add_up_in_the_same_order() {
        for (width, count) in [(1, 1), (3, 4), (5, 7), (2, 11)] {
            let rows: Vec<f64> = (0..width * count).map(|i| libm::sin(i as f64)).collect();
            let weights: Vec<f64> = (0..count).map(|i| libm::cos(i as f64)).collect();
            let mut sums = vec![0.1; width];
            accumulate(&mut sums, &rows, &weights);
            for (j, sum) in sums.iter().enumerate() {
                let plain = (0..count).fold(0.1, |sum, i| sum + weights[i] * rows[i * width + j]);
                assert_eq!(sum.to_bits(), plain.to_bits());
            }
            let again = transposed(&transposed(&rows, width), count);
            assert_eq!(again, rows);
        }
    }
}
