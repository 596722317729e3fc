# Stands in for node: Debian's Node and npm, with the image's user.
FROM debian:bookworm
RUN apt-get update && apt-get install -y --no-install-recommends nodejs npm && rm -rf /var/lib/apt/lists/*
RUN useradd --uid 1000 --create-home node
CMD ["node"]
