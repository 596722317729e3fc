"""Listens for datagrams on a unix socket, and prints each as a line of hex. datagrams.py PATH"""
import os, socket, sys

listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
listener.bind(sys.argv[1])
print("ready", flush=True)
while True:
    print(listener.recv(1 << 20).hex(), flush=True)
