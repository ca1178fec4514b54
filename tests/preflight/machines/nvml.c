/* An NVML that says what a table tells it to: $FAKE_NVML, one answer a line, parted by tabs:
 *
 *   nvmlDeviceGetTemperature 3 0 <TAB> 0 <TAB> 41       function, its arguments; return code; values
 *   nvmlDeviceGetName 3 <TAB> hang                      never returns, as with a driver that hangs; each
 *                                                       time is a line in $FAKE_NVML.hung
 *
 * What has no line is NVML_ERROR_NOT_SUPPORTED. Lines with the same key are answers one after the other; the last
 * stays. A device handle is its index and one.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SUCCESS = 0, NOT_SUPPORTED = 3, INSUFFICIENT_SIZE = 7, DRIVER_NOT_LOADED = 9, TIMEOUT = 10, MANY = 8192 };

static struct line { char *key, *rest; unsigned hash; int told; } lines[MANY];
static int num_lines;

static unsigned hash(const char *text) {
  unsigned sum = 0;
  while (*text) sum = sum * 31 + (unsigned char)*text++;
  return sum;
}

static void load(void) {
  char text[4096];
  FILE *file = fopen(getenv("FAKE_NVML") ?: "/dev/null", "r");
  while (file && num_lines < MANY && fgets(text, sizeof text, file)) {
    char *tab = strchr(text, '\t');
    if (!tab || *text == '#') continue;
    *tab = 0;
    tab[1 + strcspn(tab + 1, "\n")] = 0;
    lines[num_lines++] = (struct line){strdup(text), strdup(tab + 1), hash(text), 0};
  }
  if (file) fclose(file);
}

/* The rest of the line for a key, NULL where there is none: the first that was not told yet, else the last. */
static char *find(const char *key) {
  struct line *last = NULL;
  unsigned wanted = hash(key);
  if (!num_lines) load();
  for (int i = 0; i < num_lines; i++)
    if (lines[i].hash == wanted && !strcmp(lines[i].key, key) && (last = &lines[i]) && !last->told) break;
  if (!last) return NULL;
  last->told = 1;
  return strdup(last->rest);
}

static int code(char **rest) {
  char *word = strsep(rest, "\t");
  if (!strcmp(word, "hang")) {
    char path[4096];
    snprintf(path, sizeof path, "%s.hung", getenv("FAKE_NVML"));
    FILE *file = fopen(path, "a");
    if (file) fputs("hung\n", file), fclose(file);
    for (;;) pause();
  }
  if (!strcmp(word, "crash")) abort();
  return atoi(word);
}

static uint64_t number(char **rest) {
  char *word = strsep(rest, "\t");
  return word ? strtoull(word, NULL, 0) : 0;
}

/* Fill a structure: `.` leaves four bytes, I u32, L u64 on its boundary, B one byte, S sixteen characters, T thirty-two. */
static void fill(char *to, const char *form, char **rest) {
  size_t at = 0;
  for (; *form && *form != '}'; form++) {
    if (*form == '.') at += 4;
    if (*form == 'B') to[at++] = (char)number(rest);
    if (*form == 'I') { *(uint32_t *)(to + at) = (uint32_t)number(rest); at += 4; }
    if (*form == 'L') { at = (at + 7) & ~7ul; *(uint64_t *)(to + at) = number(rest); at += 8; }
    if (*form == 'S' || *form == 'T') {
      char *word = strsep(rest, "\t");
      size_t size = *form == 'S' ? 16 : 32;
      strncpy(to + at, word ? word : "", size - 1);
      at += size;
    }
  }
}

/* `form`: what goes in (d a device, u a number, x what does not matter), a colon, what comes out through pointers
 * (u u32, L u64, h a handle, s a string, {..} a structure). Without an answer: `missing`. */
static int answer(const char *name, const char *form, int missing, uint64_t *given) {
  char key[256];
  size_t len = (size_t)snprintf(key, sizeof key, "%s", name);
  for (; *form != ':'; form++, given++)
    if (*form != 'x')
      len += (size_t)snprintf(key + len, sizeof key - len, " %lu", *form == 'd' ? *given - 1 : (uint64_t)(uint32_t)*given);
  char *rest = find(key);
  if (!rest) return missing;
  int result = code(&rest);
  for (form++; !result && *form; form++, given++) {
    if (*form == 'u') *(uint32_t *)*given = (uint32_t)number(&rest);
    if (*form == 'L') *(uint64_t *)*given = number(&rest);
    if (*form == 'h') *(uint64_t *)*given = number(&rest) + 1;
    if (*form == 's') strcpy((char *)*given, strsep(&rest, "\t"));
    if (*form == '{') { fill((char *)*given, form + 1, &rest); form = strchr(form, '}'); }
  }
  return result;
}

#define SAYS(name, form) SAYS_OR(name, form, NOT_SUPPORTED)
#define SAYS_OR(name, form, missing)                                                            \
  int name(uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e, uint64_t f) {            \
    return answer(#name, form, missing, (uint64_t[]){a, b, c, d, e, f});                        \
  }

SAYS_OR(nvmlInitWithFlags, ":", DRIVER_NOT_LOADED)
SAYS_OR(nvmlShutdown, ":", SUCCESS)
SAYS(nvmlSystemGetDriverVersion, ":s")
SAYS(nvmlSystemGetCudaDriverVersion, ":u")
SAYS(nvmlSystemGetConfComputeState, ":{III}")
SAYS(nvmlDeviceGetCount_v2, ":u")
SAYS(nvmlDeviceGetHandleByIndex_v2, "u:h")
SAYS(nvmlDeviceGetName, "d:s")
SAYS(nvmlDeviceGetUUID, "d:s")
SAYS(nvmlDeviceGetVbiosVersion, "d:s")
SAYS(nvmlDeviceGetGspFirmwareVersion, "d:s")
SAYS(nvmlDeviceGetGspFirmwareMode, "d:uu")
SAYS(nvmlDeviceGetMinorNumber, "d:u")
SAYS(nvmlDeviceGetPciInfo_v3, "d:{SIIIIIT}")
SAYS(nvmlDeviceGetMemoryInfo, "d:{LLL}")
SAYS(nvmlDeviceGetMemoryInfo_v2, "d:{.LLLL}")
SAYS(nvmlDeviceGetCudaComputeCapability, "d:uu")
SAYS(nvmlDeviceGetEccMode, "d:uu")
SAYS(nvmlDeviceGetTotalEccErrors, "duu:L")
SAYS(nvmlDeviceGetMemoryErrorCounter, "duuu:L")
SAYS(nvmlDeviceGetSramEccErrorStatus, "d:{.LLLLLLLLLLLI}")
SAYS(nvmlDeviceGetRemappedRows, "d:uuuu")
SAYS(nvmlDeviceGetRetiredPagesPendingStatus, "d:u")
SAYS(nvmlDeviceGetCurrentClocksEventReasons, "d:L")
SAYS(nvmlDeviceGetViolationStatus, "du:{LL}")
SAYS(nvmlDeviceGetClockInfo, "du:u")
SAYS(nvmlDeviceGetMaxClockInfo, "du:u")
SAYS(nvmlDeviceGetApplicationsClock, "du:u")
SAYS(nvmlDeviceGetDefaultApplicationsClock, "du:u")
SAYS(nvmlDeviceGetTemperature, "du:u")
SAYS(nvmlDeviceGetTemperatureThreshold, "du:u")
SAYS(nvmlDeviceGetMarginTemperature, "d:{.I}")
SAYS(nvmlDeviceGetEnforcedPowerLimit, "d:u")
SAYS(nvmlDeviceGetPowerManagementDefaultLimit, "d:u")
SAYS(nvmlDeviceGetPowerUsage, "d:u")
SAYS(nvmlDeviceGetUtilizationRates, "d:{II}")
SAYS(nvmlDeviceGetCurrPcieLinkGeneration, "d:u")
SAYS(nvmlDeviceGetMaxPcieLinkGeneration, "d:u")
SAYS(nvmlDeviceGetCurrPcieLinkWidth, "d:u")
SAYS(nvmlDeviceGetMaxPcieLinkWidth, "d:u")
SAYS(nvmlDeviceGetPcieReplayCounter, "d:u")
SAYS(nvmlDeviceGetPersistenceMode, "d:u")
SAYS_OR(nvmlDeviceValidateInforom, "d:", SUCCESS)
SAYS(nvmlDeviceGetGpuFabricInfoV, "d:{.....IIIIB}")
SAYS(nvmlDeviceGetNvLinkState, "du:u")
SAYS(nvmlDeviceGetNvLinkErrorCounter, "duu:L")
SAYS(nvmlDeviceGetNvLinkRemoteDeviceType, "du:u")
SAYS(nvmlDeviceGetNvLinkRemotePciInfo_v2, "du:{SIIIIIT}")
SAYS(nvmlDeviceGetComputeMode, "d:u")
SAYS(nvmlDeviceGetMigMode, "d:uu")
SAYS(nvmlDeviceGetTopologyCommonAncestor, "dd:u")
SAYS(nvmlDeviceGetP2PStatus, "ddu:u")
SAYS(nvmlDeviceGetCpuAffinity, "dx:{LLLLLLLLLLLLLLLL}")
SAYS_OR(nvmlEventSetCreate, ":u", SUCCESS)
SAYS_OR(nvmlEventSetFree, "x:", SUCCESS)
SAYS_OR(nvmlDeviceRegisterEvents, "d:", SUCCESS)

/* An event comes at once; without one the wait lasts as long as it was asked to. */
int nvmlEventSetWait_v2(uint64_t set, char *data, unsigned timeout_ms) {
  char *rest = find("nvmlEventSetWait_v2");
  (void)set;
  int result = rest ? code(&rest) : TIMEOUT;
  if (result == TIMEOUT) usleep(timeout_ms * 1000);
  if (result) return result;
  *(uint64_t *)data = number(&rest) + 1;
  fill(data + 8, "LLII}", &rest);
  return result;
}

/* Each value: u32 id and scope, i64 time and latency, u32 type (3: u64) and code, u64 value. */
int nvmlDeviceGetFieldValues(uint64_t device, int count, char *values) {
  for (char *value = values; value < values + 40l * count; value += 40) {
    uint32_t *words = (uint32_t *)value;
    words[6] = 3;
    words[7] = (uint32_t)answer("nvmlDeviceGetFieldValues", "duu:L", NOT_SUPPORTED,
                                (uint64_t[]){device, words[0], words[1], (uint64_t)(value + 32)});
  }
  return SUCCESS;
}

/* A list: its length, then for each what `form` says, in `size` bytes. */
static int list(const char *key_form, const char *name, uint64_t *given, unsigned *count, char *to, size_t size, const char *form) {
  uint32_t num = 0;
  char *rest;
  char key[256];
  snprintf(key, sizeof key, key_form, name, given[0] - 1, (unsigned)given[1]);
  if (!(rest = find(key))) return NOT_SUPPORTED;
  int result = code(&rest);
  if (result) return result;
  num = (uint32_t)number(&rest);
  unsigned room = *count;
  *count = num;
  if (num > room) return INSUFFICIENT_SIZE;
  for (; num--; to += size) fill(to, form, &rest);
  return SUCCESS;
}

int nvmlDeviceGetComputeRunningProcesses_v3(uint64_t device, unsigned *count, char *to) {
  return list("%s %lu", __func__, (uint64_t[]){device, 0}, count, to, 24, "ILII}");
}

int nvmlDeviceGetRetiredPages(uint64_t device, unsigned cause, unsigned *count, char *to) {
  return list("%s %lu %u", __func__, (uint64_t[]){device, cause}, count, to, 8, "L}");
}

/* The same library serves as libcuda.so.1: what a machine's table does not mention goes well. */
SAYS_OR(cuInit, "x:", SUCCESS)
SAYS_OR(cuCtxSetCurrent, "x:", SUCCESS)
SAYS_OR(cuCtxSynchronize, ":", SUCCESS)
SAYS_OR(cuMemFree_v2, "x:", SUCCESS)
SAYS_OR(cuDevicePrimaryCtxRelease_v2, "x:", SUCCESS)

int cuDeviceGet(int *device, int number) {
  *device = number;
  return SUCCESS;
}

/* The device is the one that CUDA_VISIBLE_DEVICES names; its number is the last digit of its UUID. */
static int of_device(const char *name) {
  char key[64], *uuid = getenv("CUDA_VISIBLE_DEVICES") ?: "0";
  snprintf(key, sizeof key, "%s %s", name, uuid + strlen(uuid) - 1);
  char *rest = find(key);
  return rest ? code(&rest) : SUCCESS;
}

int cuDevicePrimaryCtxRetain(void **context, int device) { *context = NULL; return of_device(__func__); }
int cuMemAlloc_v2(uint64_t *at, size_t size) { *at = size; return of_device(__func__); }
int cuMemsetD8_v2(uint64_t at, unsigned char value, size_t size) { return of_device(__func__); }

int cuMemGetInfo_v2(size_t *available, size_t *total) {
  *available = *total = 80ul << 30;
  return of_device(__func__);
}

int cuGetErrorName(int number, const char **name) {
  *name = number == 802 ? "CUDA_ERROR_SYSTEM_NOT_READY" : number == 46 ? "CUDA_ERROR_DEVICE_UNAVAILABLE" : NULL;
  return SUCCESS;
}

int cuDeviceGetAttribute(int *value, int attribute, int device) { *value = 1; return of_device(__func__); }
