/** Opens a PF and its VFs. */
export const VF_TOKEN = "52ac9bff-3a88-4fbd-901a-0d767c3b6c97";
