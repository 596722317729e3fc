# Stands in for rust:alpine: Debian's compiler, which links all of glibc in where Alpine's has musl, and an apk that
# has nothing to do.
FROM debian:bookworm
RUN apt-get update && apt-get install -y --no-install-recommends cargo gcc libc6-dev && rm -rf /var/lib/apt/lists/*
RUN ln -s /bin/true /usr/local/bin/apk
ENV RUSTFLAGS="-C target-feature=+crt-static" CARGO_HOME=/usr/local/cargo
