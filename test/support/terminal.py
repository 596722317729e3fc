"""Runs a command on a terminal of 101 columns and 33 rows, or of TERMINAL_SIZE=ROWSxCOLUMNS.

terminal.py STEPS COMMAND...: STEPS is JSON, [[when this is seen, type this], ...]. Prints what the terminal showed, and
exits with the command's status.
"""
import fcntl, json, os, pty, select, signal, struct, sys, termios, time

steps = [(seen.encode(), typed.encode()) for seen, typed in json.loads(sys.argv[1])]
rows, columns = map(int, os.environ.get("TERMINAL_SIZE", "33x101").split("x"))
pid, terminal = pty.fork()
if pid == 0:
    # Before the command can ask for it.
    fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    os.execvp(sys.argv[2], sys.argv[2:])
shown = b""
fresh = b""
end = time.time() + 60
while time.time() < end:
    ready, _, _ = select.select([terminal], [], [], 0.05)
    if ready:
        try:
            data = os.read(terminal, 65536)
        except OSError:
            break
        if not data:
            break
        shown += data
        fresh += data
    elif steps and steps[0][0] in fresh:
        os.write(terminal, steps.pop(0)[1])
        fresh = b""
else:
    # Whatever was waited for did not come.
    os.kill(pid, signal.SIGKILL)
sys.stdout.buffer.write(shown)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
