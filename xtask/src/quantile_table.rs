//! Writes `search/data/normal-quantiles.f32`: the quantile table that turns 16 random bits into a normal number.
//!
//! Entry `k` of the file is Φ⁻¹(½ + (k + ½) / 65536), rounded once from double to single precision, little-endian: the
//! upper half of the table. The lower half is its mirror image. The file is committed and its checksum is held by a test
//! in `search`, so this is run only to see that the bytes can be made again.

use std::error::Error;
use std::path::Path;

const HALF: u32 = 32 * 1024;

/// Makes the table and writes it.
pub(crate) fn run() -> Result<(), Box<dyn Error>> {
    let mut bytes = Vec::with_capacity(4 * HALF as usize);
    for k in 0..HALF {
        // Both are exact: 17 bits suffice.
        let upper_tail = 0.5 - (f64::from(k) + 0.5) / 65536.0;
        bytes.extend_from_slice(&(quantile(upper_tail) as f32).to_le_bytes());
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../search/data/normal-quantiles.f32");
    std::fs::write(&path, &bytes)?;
    println!("wrote {} bytes to {}", bytes.len(), path.display());
    Ok(())
}

/// The `x >= 0` whose upper tail is `tail`, by bisection down to neighbouring doubles. The tail is ½ erfc(x/√2).
fn quantile(tail: f64) -> f64 {
    let (mut low, mut high) = (0.0f64, 8.0f64);
    loop {
        let middle = 0.5 * (low + high);
        if middle <= low || middle >= high {
            return low;
        }
        if 0.5 * libm::erfc(middle * std::f64::consts::FRAC_1_SQRT_2) > tail {
            low = middle;
        } else {
            high = middle;
        }
    }
}
