//! Launches as a CUDA graph: the driver gets one call for all of them.

use bnn_core::{Error, Result};
use cudarc::driver::result::{self as cuda, DriverError};
use cudarc::driver::sys;

use super::gpu::{Gpu, STREAM, Words, device};
use super::{Graph, Launch};

/// A graph that can be launched.
pub(super) struct GpuGraph {
    context: sys::CUcontext,
    ready: sys::CUgraphExec,
}

// SAFETY: the driver's handles may be used from any thread once their context is current.
unsafe impl Send for GpuGraph {}
// SAFETY: as above; a launch changes nothing that another one could see.
unsafe impl Sync for GpuGraph {}

/// A graph under construction, whose nodes follow one another.
struct Chain {
    graph: sys::CUgraph,
    last: Option<sys::CUgraphNode>,
}

impl GpuGraph {
    /// The context is that of the calling thread.
    pub(super) fn new(gpu: &Gpu, context: sys::CUcontext, launches: &[Launch]) -> Result<Self> {
        let mut chain = Chain::new().map_err(failed)?;
        for launch in launches {
            chain.add(gpu, launch)?;
        }
        let none = sys::CUgraphInstantiate_flags_enum(0);
        // SAFETY: a graph that was made here, of kernels whose values were copied into it.
        let ready = unsafe { cuda::graph::instantiate(chain.graph, none) }.map_err(failed)?;
        Ok(Self { context, ready })
    }
}

impl Graph for GpuGraph {
    fn start(&self) -> Result<()> {
        // SAFETY: the context of the GPU, which nobody releases.
        unsafe { cuda::ctx::set_current(self.context) }.map_err(failed)?;
        // SAFETY: made by `new`; a recording keeps all memory that its kernels read or write.
        unsafe { cuda::graph::launch(self.ready, STREAM) }.map_err(failed)
    }
}

impl Drop for GpuGraph {
    fn drop(&mut self) {
        // SAFETY: the context of the GPU, which nobody releases.
        if unsafe { cuda::ctx::set_current(self.context) }.is_ok() {
            // SAFETY: made by `new`, and destroyed once; launches under way are finished first. A failure
            // is the device's, and shows in the next call that can report it.
            let _ = unsafe { cuda::graph::exec_destroy(self.ready) };
        }
    }
}

impl Chain {
    fn new() -> std::result::Result<Self, DriverError> {
        let mut graph = std::ptr::null_mut();
        // SAFETY: the graph's handle is written to a place of its own.
        unsafe { sys::cuGraphCreate(&raw mut graph, 0) }.result()?;
        Ok(Self { graph, last: None })
    }

    /// Adds a kernel behind the last one.
    fn add(&mut self, gpu: &Gpu, Launch { kernel, shape, values }: &Launch) -> Result<()> {
        let function = gpu.function(*kernel, *shape)?;
        let words = values.iter().map(Words::new).collect::<Result<Vec<_>>>()?;
        let mut pointers: Vec<_> = words.iter().map(Words::pointer).collect();
        let [x, y, z] = shape.grid;
        let node = sys::CUDA_KERNEL_NODE_PARAMS {
            func: function,
            gridDimX: x,
            gridDimY: y,
            gridDimZ: z,
            blockDimX: shape.block,
            blockDimY: 1,
            blockDimZ: 1,
            sharedMemBytes: shape.shared,
            kernelParams: pointers.as_mut_ptr(),
            extra: std::ptr::null_mut(),
            kern: std::ptr::null_mut(),
            ctx: std::ptr::null_mut(),
        };
        let before = self.last.as_slice();
        let mut added = std::ptr::null_mut();
        // SAFETY: the values are those that the kernel takes, and are copied by the call; the node before
        // is one of this graph.
        let result = unsafe {
            sys::cuGraphAddKernelNode_v2(
                &raw mut added,
                self.graph,
                before.as_ptr(),
                before.len(),
                &raw const node,
            )
        };
        result.result().map_err(|error| device(kernel.1, error))?;
        self.last = Some(added);
        Ok(())
    }
}

impl Drop for Chain {
    fn drop(&mut self) {
        // SAFETY: made by `new`, and destroyed once; what was instantiated from it stays.
        let _ = unsafe { cuda::graph::destroy(self.graph) };
    }
}

fn failed(error: DriverError) -> Error {
    device("graph", error)
}
