//! Little-endian bytes of proposals and snapshots: a writer, and a reader that trusts nothing.

use crate::strategy::SnapshotError;

/// Writes numbers one after another.
#[derive(Default)]
pub(crate) struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    pub(crate) fn u8(&mut self, x: u8) {
        self.bytes.push(x);
    }

    pub(crate) fn u16(&mut self, x: u16) {
        self.bytes.extend_from_slice(&x.to_le_bytes());
    }

    pub(crate) fn u32(&mut self, x: u32) {
        self.bytes.extend_from_slice(&x.to_le_bytes());
    }

    pub(crate) fn u64(&mut self, x: u64) {
        self.bytes.extend_from_slice(&x.to_le_bytes());
    }

    pub(crate) fn f64(&mut self, x: f64) {
        self.bytes.extend_from_slice(&x.to_le_bytes());
    }

    /// Numbers whose count the reader knows.
    pub(crate) fn f64s(&mut self, xs: &[f64]) {
        self.bytes.reserve(8 * xs.len());
        xs.iter().for_each(|x| self.f64(*x));
    }

    /// A count, then so many numbers.
    pub(crate) fn counted_f64s(&mut self, xs: &[f64]) {
        self.u32(xs.len() as u32);
        self.f64s(xs);
    }

    pub(crate) fn raw(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

/// Reads what a [`Writer`] wrote. Nothing is allocated before the bytes for it are seen to be there.
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader { rest: bytes }
    }

    pub(crate) fn raw(&mut self, count: usize) -> Result<&'a [u8], SnapshotError> {
        if count > self.rest.len() {
            return Err(SnapshotError::Damaged("it ends too early"));
        }
        let (taken, rest) = self.rest.split_at(count);
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], SnapshotError> {
        let mut array = [0; N];
        array.copy_from_slice(self.raw(N)?);
        Ok(array)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, SnapshotError> {
        Ok(u8::from_le_bytes(self.array()?))
    }

    pub(crate) fn u16(&mut self) -> Result<u16, SnapshotError> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    pub(crate) fn u32(&mut self) -> Result<u32, SnapshotError> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    pub(crate) fn u64(&mut self) -> Result<u64, SnapshotError> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    pub(crate) fn bool(&mut self) -> Result<bool, SnapshotError> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(SnapshotError::Damaged("a flag is neither 0 nor 1")),
        }
    }

    /// Any number, infinite ones too; NaN is never written.
    pub(crate) fn f64(&mut self) -> Result<f64, SnapshotError> {
        let x = f64::from_le_bytes(self.array()?);
        if x.is_nan() { Err(SnapshotError::Damaged("a number is NaN")) } else { Ok(x) }
    }

    pub(crate) fn finite(&mut self) -> Result<f64, SnapshotError> {
        let x = self.f64()?;
        if x.is_finite() { Ok(x) } else { Err(SnapshotError::Damaged("a number is not finite")) }
    }

    /// So many finite numbers.
    pub(crate) fn finites(&mut self, count: usize) -> Result<Vec<f64>, SnapshotError> {
        let bytes = self.raw(count.checked_mul(8).ok_or(SnapshotError::Damaged("a length is out of range"))?)?;
        let mut inner = Reader::new(bytes);
        (0..count).map(|_| inner.finite()).collect()
    }

    /// A count, then so many numbers, infinite ones too.
    pub(crate) fn counted_f64s(&mut self) -> Result<Vec<f64>, SnapshotError> {
        let count = self.u32()? as usize;
        let bytes = self.raw(count.checked_mul(8).ok_or(SnapshotError::Damaged("a length is out of range"))?)?;
        let mut inner = Reader::new(bytes);
        (0..count).map(|_| inner.f64()).collect()
    }

    /// Whether nothing is left to read.
    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Whether everything was read.
    pub(crate) fn end(self) -> Result<(), SnapshotError> {
        if self.rest.is_empty() { Ok(()) } else { Err(SnapshotError::Damaged("there are bytes after its end")) }
    }
}
