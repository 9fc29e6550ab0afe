//! Max-pooling of codes.

use bnn_core::{BinaryBackend, Gather, Grid, HostCode, Result, Window, reference};

use crate::code::Code;
use crate::cpu::Cpu;
use crate::elementwise::rows_per_task;

/// See [`BinaryBackend::pool`]: for signs, the OR of packed rows.
///
/// Codes of several planes have no such form, and take the definition.
pub(crate) fn pool(cpu: &Cpu, x: &Code, grid: Grid, window: Window) -> Result<Code> {
    if x.mask.is_some() || !matches!(x.weights[..], [weight] if weight > 0) {
        let pooled = reference::pool(&x.to_planes(), grid, window)?;
        return cpu.put_code(&HostCode::Planes(pooled));
    }
    let gather = Gather::Patches { grid, window };
    let mut out = cpu.code((gather.out_rows(x.rows)?, x.cols), x.scale, x.weights.clone());
    let (rows, words) = (rows_per_task(x.cols), x.words().max(1));
    cpu.workers.each(out.bits.chunks_mut(rows * words).enumerate(), |(task, out)| {
        for (row, out) in (task * rows..).zip(out.chunks_exact_mut(words)) {
            out.fill(0);
            for source in (0..window.taps()).filter_map(|tap| gather.source(row, tap)) {
                out.iter_mut().zip(x.row(source)).for_each(|(out, bits)| *out |= bits);
            }
        }
    });
    Ok(out)
}
