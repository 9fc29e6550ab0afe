//! Lists the kernels, and which of them this processor takes.

use bnn_core::BinaryBackend;
use bnn_cpu::Cpu;

fn main() {
    for kernel in Cpu::kernels() {
        let why = kernel.missing.map_or("usable".to_owned(), |lacks| format!("lacks {lacks}"));
        println!("{:<10}{why}", kernel.name);
    }
    println!("taken: {}", Cpu::new().name());
}
