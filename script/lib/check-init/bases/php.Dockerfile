# Stands in for composer.
FROM debian:bookworm AS composer
RUN apt-get update && apt-get install -y --no-install-recommends composer && rm -rf /var/lib/apt/lists/*

# Stands in for php:apache: Debian's Apache and PHP, told to write to the terminal and to run as whoever starts it.
FROM debian:bookworm AS apache
RUN apt-get update && apt-get install -y --no-install-recommends apache2 libapache2-mod-php && rm -rf /var/lib/apt/lists/*
RUN rm /var/www/html/index.html && mkdir -p /run/lock/apache2 && chmod 1777 /var/www/html /run/apache2 /run/lock/apache2 && \
    ln -sfT /dev/stderr /var/log/apache2/error.log && \
    for log in access other_vhosts_access; do ln -sfT /dev/stdout /var/log/apache2/$log.log; done && \
    chmod 755 /var/log/apache2
STOPSIGNAL SIGWINCH
EXPOSE 80
CMD ["sh", "-c", ". /etc/apache2/envvars && exec apache2 -D FOREGROUND"]
