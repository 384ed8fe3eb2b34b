//! Names that only generated code may have.

#[dstream::job]
fn job() {
    let __dstream_l_out = source::text("file:logs");
    let lengths = __dstream_l_out.map(|__dstream_s_x| __dstream_s_x.len() as u64);
    lengths.print();
}

dstream::main!(job);
