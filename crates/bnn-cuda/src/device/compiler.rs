//! The run-time compiler, NVRTC.

use std::ffi::{CString, c_char};

use bnn_core::{Error, Result};
use cudarc::nvrtc::{result as nvrtc, sys};

use super::library::Source;

/// What a file is compiled for: instructions of one generation alone have an `a` in its name.
pub(super) fn target(source: &Source, (major, minor): (i32, i32)) -> String {
    format!("sm_{major}{minor}{}", if source.name == "hopper" { "a" } else { "" })
}

/// No contraction to fused multiply-adds: evaluation agrees in every bit with the host.
pub(super) fn options(target: &str) -> Vec<String> {
    vec![format!("--gpu-architecture={target}"), "--fmad=false".into(), "--std=c++17".into()]
}

/// Major and minor version of the compiler.
pub(super) fn version() -> Result<(i32, i32)> {
    let (mut major, mut minor) = (0, 0);
    // SAFETY: writes two numbers.
    unsafe { sys::nvrtcVersion(&raw mut major, &raw mut minor) }.result().map_err(failed)?;
    Ok((major, minor))
}

/// Compiles a file; its image, and what the compiler had to say.
///
/// # Errors
/// The text or the options are wrong; what the compiler said is in the error.
pub(super) fn compile(source: &Source, options: &[String]) -> Result<(Vec<u8>, String)> {
    let name = source.name;
    let text = CString::new(source.text()).expect("sources have no zero byte");
    let file = CString::new(format!("{name}.cu")).expect("a file's name");
    let program = nvrtc::create_program(&text, Some(&file)).map_err(failed)?;
    // SAFETY: the program made just now.
    let compiled = unsafe { nvrtc::compile_program(program, options) };
    let log = log(program);
    let image = match compiled {
        Ok(()) => image(program),
        Err(error) => {
            let why = format!("{name}.cu: {error}: {log}");
            Err(Error::Device { op: "NVRTC", source: why.into() })
        }
    };
    // SAFETY: made above, and destroyed once.
    let _ = unsafe { nvrtc::destroy_program(program) };
    Ok((image?, log))
}

/// What the compiler said, if it can be had.
fn log(program: sys::nvrtcProgram) -> String {
    // SAFETY: a program that has not been destroyed.
    let log = unsafe { nvrtc::get_program_log(program) }.unwrap_or_default();
    let log: Vec<u8> = log.iter().map(|&byte| byte as u8).filter(|&byte| byte != 0).collect();
    String::from_utf8_lossy(&log).into_owned()
}

fn image(program: sys::nvrtcProgram) -> Result<Vec<u8>> {
    let mut size = 0;
    // SAFETY: writes a number.
    unsafe { sys::nvrtcGetCUBINSize(program, &raw mut size) }.result().map_err(failed)?;
    let mut image = vec![0u8; size];
    // SAFETY: writes as many bytes as it said.
    unsafe { sys::nvrtcGetCUBIN(program, image.as_mut_ptr().cast::<c_char>()) }
        .result()
        .map_err(failed)?;
    Ok(image)
}

fn failed(error: nvrtc::NvrtcError) -> Error {
    Error::Device { op: "NVRTC", source: error.into() }
}
