# Stands in for golang: Debian's compiler.
FROM debian:bookworm
RUN apt-get update && apt-get install -y --no-install-recommends golang-go && rm -rf /var/lib/apt/lists/*
