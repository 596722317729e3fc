# Stands in for eclipse-temurin: Debian's runtime.
FROM debian:bookworm AS jre
RUN mkdir -p /usr/share/man/man1 && apt-get update && apt-get install -y --no-install-recommends openjdk-17-jre-headless && rm -rf /var/lib/apt/lists/*

# Stands in for maven: Debian's, with the plugins that Debian has and no way to any others.
FROM jre AS maven
RUN apt-get update && apt-get install -y --no-install-recommends openjdk-17-jdk-headless maven libmaven-compiler-plugin-java libmaven-jar-plugin-java libmaven-resources-plugin-java libsurefire-java && rm -rf /var/lib/apt/lists/*
RUN sed -i 's#</settings>#<localRepository>/usr/share/maven-repo</localRepository><offline>true</offline></settings>#' /etc/maven/settings.xml
