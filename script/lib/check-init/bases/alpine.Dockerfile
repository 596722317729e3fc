# Stands in for alpine: busybox with the one form of adduser that is called for.
FROM busybox
COPY --chmod=755 <<'END' /usr/local/bin/adduser
#!/bin/sh
# adduser -S -u UID NAME
echo "$4:x:$3:65533::/home/$4:/sbin/nologin" >>/etc/passwd
END
