//! The backend: a device, and which family of kernels multiplies on it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use bnn_core::{Error, Gather, Result};

use crate::device::gpu::Gpu;
use crate::device::{Arch, Buffer, Driver, Gemm, Kernel, Launch, Rounding, Shape, Value};
use crate::recording::Tape;
use crate::tile::Tile;
use crate::windows::Windows;

/// A GPU as a backend.
///
/// Sign products are exact on any kernel. Products of reals, for gradients, are f32, or
/// [TF32](Cuda::tf32).
#[derive(Clone)]
pub struct Cuda {
    driver: Arc<dyn Driver>,
    family: Arch,
    tile: Option<Tile>,
    windows: Arc<Mutex<HashMap<Gather, Arc<Windows>>>>,
    tape: Arc<Tape>,
}

/// The families of kernels by name.
const FAMILIES: [(&str, Arch); 4] = [
    ("plain", Arch::Plain),
    ("int8", Arch::Int8),
    ("tensor", Arch::Tensor),
    ("hopper", Arch::Hopper),
];

impl Cuda {
    /// The GPU number `ordinal`, counted from 0; gradients are products in f32.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if it, its driver, the compiler NVRTC or cuBLAS is not here.
    pub fn new(ordinal: i32) -> Result<Self> {
        Gpu::shared(ordinal, Rounding::Single).map(|gpu| Self::on(gpu))
    }

    /// The same, but gradients are products of operands rounded to TF32 (11 significant bits), with
    /// sums in f32: several times faster on tensor cores. Signs are not rounded by it; pixels are, in the
    /// gradient of the first layer.
    ///
    /// # Errors
    /// As [`Cuda::new`].
    pub fn tf32(ordinal: i32) -> Result<Self> {
        Gpu::shared(ordinal, Rounding::Tensor).map(|gpu| Self::on(gpu))
    }

    /// The host, running the kernels of a family as a C++ program: for tests.
    ///
    /// # Errors
    /// [`Error::Unknown`] for what is no family.
    #[cfg(feature = "emulation")]
    pub fn emulated(family: &str) -> Result<Self> {
        let arch = family_named(family)?;
        Ok(Self::on(Arc::new(crate::device::emulated::Emulated::new(arch))))
    }

    fn on(driver: Arc<dyn Driver>) -> Self {
        let (windows, tape) = Default::default();
        Self { family: driver.arch(), tile: None, driver, windows, tape }
    }

    /// The same device, multiplying with the kernels of one family (`plain`, `int8`, `tensor` or
    /// `hopper`), or with one kernel wherever it applies (such as `hopper_128x256`).
    ///
    /// # Errors
    /// [`Error::Unknown`] for a name that no kernel has, [`Error::Unavailable`] for a kernel that is not
    /// for this device.
    pub fn with_kernel(self, name: &str) -> Result<Self> {
        let tile = Tile::named(name);
        let arch = tile.map_or_else(|| family_named(name), |tile| Ok(tile.family))?;
        let best = self.driver.arch();
        if arch > best {
            let why = format!("{} has no such instructions", self.driver.name());
            return Err(Error::unavailable(format!("kernels `{name}`"), why));
        }
        // What multiplies bytes leaves products of signs to the device's best.
        let bytes = tile.is_some_and(|tile| tile.takes.bytes());
        Ok(Self { family: if bytes { best } else { arch }, tile, ..self })
    }

    /// The families of kernels that this device runs, the best first.
    pub fn families(&self) -> impl Iterator<Item = &'static str> {
        let best = self.driver.arch();
        FAMILIES.iter().rev().filter(move |(_, arch)| *arch <= best).map(|(name, _)| *name)
    }

    /// Device, and family of kernels if it is not the device's best.
    pub(crate) fn label(&self) -> String {
        let name = self.driver.name();
        if let Some(tile) = self.tile {
            return format!("{name}/{}", tile.name());
        }
        let known = |(_, arch): &&(&str, Arch)| *arch == self.family;
        match FAMILIES.iter().find(known).filter(|_| self.family != self.driver.arch()) {
            Some((family, _)) => format!("{name}/{family}"),
            None => name,
        }
    }

    pub(crate) fn family(&self) -> Arch {
        self.family
    }

    /// The kernel that was asked for.
    pub(crate) fn tile(&self) -> Option<Tile> {
        self.tile
    }

    pub(crate) fn device(&self) -> &dyn Driver {
        &*self.driver
    }

    pub(crate) fn driver(&self) -> &Arc<dyn Driver> {
        &self.driver
    }

    pub(crate) fn tape(&self) -> &Tape {
        &self.tape
    }

    /// Memory that is not initialised.
    pub(crate) fn memory(&self, bytes: usize) -> Result<Buffer> {
        Buffer::new(&self.driver, bytes, self.tape.lot())
    }

    /// Memory that holds these bytes.
    pub(crate) fn upload(&self, bytes: &[u8]) -> Result<Buffer> {
        let buffer = self.memory(bytes.len())?;
        buffer.write(bytes)?;
        Ok(buffer)
    }

    /// A product of reals.
    ///
    /// # Errors
    /// [`Error::Unavailable`] in a recording; what the device says.
    pub(crate) fn gemm(&self, gemm: &Gemm<'_>) -> Result<()> {
        if self.tape.lot().is_some() {
            let why = "it is a library's, and recordings hold our kernels alone";
            return Err(Error::unavailable("a product of reals in a recording", why));
        }
        self.driver.multiply(gemm)
    }

    /// Starts a kernel with one thread for each of `elements`.
    pub(crate) fn each(&self, kernel: Kernel, elements: usize, values: &[Value<'_>]) -> Result<()> {
        self.launch(kernel, Shape::each(elements)?, values)
    }

    /// Starts a kernel.
    ///
    /// # Errors
    /// [`Error::Value`] for a buffer of another device; what the device says.
    pub(crate) fn launch(&self, kernel: Kernel, shape: Shape, values: &[Value<'_>]) -> Result<()> {
        let mine = self.driver.place();
        let foreign =
            |value: &Value<'_>| matches!(value, Value::Pointer(_, place) if *place != mine);
        if values.iter().any(foreign) {
            return Err(Error::value(
                "operand",
                format!("it lies on another device than {mine:?}"),
            ));
        }
        if shape.is_empty() {
            return Ok(());
        }
        let values_kept = || values.iter().map(Value::kept).collect();
        self.tape.keep(|| Launch { kernel, shape, values: values_kept() });
        self.driver.start(kernel, shape, values)
    }

    /// The windows of a gather, made once.
    pub(crate) fn windows(&self, gather: &Gather) -> Result<Arc<Windows>> {
        let mut known = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(windows) = known.get(gather) {
            return Ok(Arc::clone(windows));
        }
        let windows = Arc::new(Windows::new(self, gather)?);
        known.insert(*gather, Arc::clone(&windows));
        Ok(windows)
    }
}

fn family_named(family: &str) -> Result<Arch> {
    let found = FAMILIES.iter().find(|(name, _)| *name == family);
    found.map(|(_, arch)| *arch).ok_or_else(|| {
        let known = FAMILIES.iter().map(|(name, _)| *name).chain(Tile::names());
        let known: Vec<_> = known.map(|name| format!("`{name}`")).collect();
        Error::unknown(format!("kernels `{family}`"), format!("there are {}", known.join(", ")))
    })
}
