import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { capabilityNames } from "../linux/process.ts";
import { defaultCapabilities } from "./capabilities.ts";
import { type OciSeccomp, ociSeccomp, parseSeccompProfile } from "./seccomp.ts";
import { defaultSeccompProfile } from "./seccomp-default.ts";

const host = { arch: "amd64", kernel: "6.1.0-18-amd64" };

/** Whether a call passes whatever its arguments are. */
const allows = (filter: OciSeccomp, name: string) =>
  filter.syscalls?.some(
    ({ names, action, args }) => action === "SCMP_ACT_ALLOW" && !args && names.includes(name),
  ) ?? false;

describe("the default profile", () => {
  const plain = ociSeccomp(defaultSeccompProfile, defaultCapabilities, host);

  test("denies by default with EPERM, and covers the 32-bit calls too", () => {
    expect(plain).toMatchObject({ defaultAction: "SCMP_ACT_ERRNO", defaultErrnoRet: 1 });
    expect(plain.architectures).toEqual(["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"]);
  });

  test.each(["read", "openat2", "chroot", "ptrace", "arch_prctl", "mknod", "seccomp"])(
    "%s is allowed",
    (name) => {
      expect(allows(plain, name)).toBeTrue();
    },
  );

  test.each([
    "mount",
    "unshare",
    "setns",
    "bpf",
    "keyctl",
    "add_key",
    "init_module",
    "reboot",
    "io_uring_setup",
    "userfaultfd",
    "clone",
    "clone3",
    "socket",
    "personality",
    "kexec_load",
    "open_by_handle_at",
    "vhangup",
  ])("%s is not, or with certain arguments only", (name) => {
    expect(allows(plain, name)).toBeFalse();
  });

  test("clone may not make namespaces, clone3 looks missing", () => {
    const clone = plain.syscalls!.filter(({ names }) => names.includes("clone"));
    expect(clone).toEqual([
      {
        names: ["clone"],
        action: "SCMP_ACT_ALLOW",
        errnoRet: undefined,
        args: [{ index: 0, value: 0x7e020000, valueTwo: 0, op: "SCMP_CMP_MASKED_EQ" }],
      },
    ]);
    expect(plain.syscalls!.find(({ names }) => names.includes("clone3"))).toMatchObject({
      action: "SCMP_ACT_ERRNO",
      errnoRet: 38,
    });
  });

  test("capabilities open what belongs to them", () => {
    const admin = ociSeccomp(defaultSeccompProfile, [...defaultCapabilities, "CAP_SYS_ADMIN"], host);
    for (const name of ["mount", "unshare", "clone", "clone3", "bpf"]) expect(allows(admin, name)).toBeTrue();
    expect(admin.syscalls!.some(({ action }) => action === "SCMP_ACT_ERRNO")).toBeFalse();
    expect(allows(ociSeccomp(defaultSeccompProfile, [], host), "chroot")).toBeFalse();
  });

  test("architecture and kernel decide", () => {
    const s390 = ociSeccomp(defaultSeccompProfile, [], { arch: "s390x", kernel: "4.7.99" });
    expect(s390.syscalls!.find(({ names }) => names.includes("clone"))!.args![0]!.index).toBe(1);
    expect(s390.architectures).toEqual(["SCMP_ARCH_S390X", "SCMP_ARCH_S390"]);
    expect([allows(s390, "arch_prctl"), allows(s390, "ptrace"), allows(s390, "s390_pci_mmio_read")]).toEqual([
      false,
      false,
      true,
    ]);
    expect(
      allows(ociSeccomp(defaultSeccompProfile, [], { arch: "arm64", kernel: "5.10" }), "cacheflush"),
    ).toBeTrue();
  });

  test("a further capability never takes a call away", () => {
    fc.assert(
      fc.property(fc.subarray([...capabilityNames]), fc.constantFrom(...capabilityNames), (few, one) => {
        const before = ociSeccomp(defaultSeccompProfile, few, host);
        const after = ociSeccomp(defaultSeccompProfile, [...few, one], host);
        const unconditional = before
          .syscalls!.filter(({ action, args }) => action === "SCMP_ACT_ALLOW" && !args)
          .flatMap(({ names }) => names);
        expect(unconditional.every((name) => allows(after, name))).toBeTrue();
      }),
    );
  });
});

describe("a user's profile", () => {
  test("is converted in old and new form", () => {
    const profile = parseSeccompProfile({
      defaultAction: "SCMP_ACT_ALLOW",
      architectures: ["SCMP_ARCH_X86_64"],
      syscalls: [
        { name: "chmod", action: "SCMP_ACT_ERRNO", args: [] },
        {
          names: ["kill"],
          action: "SCMP_ACT_LOG",
          excludes: { minKernel: "5.0" },
          comment: "not here",
          args: null,
        },
        { names: ["tkill"], action: "SCMP_ACT_LOG", includes: { minKernel: "6.1" } },
        { names: ["dup"], action: "SCMP_ACT_LOG", includes: { minKernel: "6.10" } },
      ],
    });
    expect(ociSeccomp(profile, [], host)).toEqual({
      defaultAction: "SCMP_ACT_ALLOW",
      architectures: ["SCMP_ARCH_X86_64"],
      syscalls: [
        { names: ["chmod"], action: "SCMP_ACT_ERRNO" },
        { names: ["tkill"], action: "SCMP_ACT_LOG" },
      ],
    } as OciSeccomp);
  });

  test.each([
    ["no object", [], "Decoding seccomp profile failed"],
    ["no default action", { syscalls: [] }, "Decoding seccomp profile failed"],
    [
      "a number for a name",
      { defaultAction: "a", syscalls: [{ names: [1], action: "b" }] },
      "Decoding seccomp profile failed",
    ],
    [
      "name and names",
      { defaultAction: "a", syscalls: [{ name: "x", names: ["y"], action: "b" }] },
      "both 'name' and 'names'",
    ],
    [
      "both kinds of architectures",
      { defaultAction: "a", architectures: ["x"], archMap: [{ architecture: "y" }] },
      "both 'architectures' and 'archMap'",
    ],
  ])("is refused: %s", (_, json, message) => {
    expect(() => parseSeccompProfile(json)).toThrow(message);
  });
});
