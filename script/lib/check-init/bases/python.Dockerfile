# Stands in for python: Debian's, by the name that the image has it.
FROM debian:bookworm
RUN apt-get update && apt-get install -y --no-install-recommends python3 python3-venv python-is-python3 && rm -rf /var/lib/apt/lists/*
CMD ["python"]
