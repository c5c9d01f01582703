/* language.c - NLLB's towers are told a text's language by a token before it, of FLORES-200's code.
 */
#include "task/language.h"

#include <string.h>

#include "base/log.h"

/* Immich's languages, in byte order (models/constants.py, WEBLATE_TO_FLORES200), and what it takes
 * them for. */
static const struct {
    const char *code, *flores;
} languages[] = {
    { "af", "afr_Latn" },      { "ar", "arb_Arab" },    { "az", "azj_Latn" },
    { "be", "bel_Cyrl" },      { "bg", "bul_Cyrl" },    { "ca", "cat_Latn" },
    { "cs", "ces_Latn" },      { "da", "dan_Latn" },    { "de", "deu_Latn" },
    { "el", "ell_Grek" },      { "en", "eng_Latn" },    { "es", "spa_Latn" },
    { "et", "est_Latn" },      { "fa", "pes_Arab" },    { "fi", "fin_Latn" },
    { "fr", "fra_Latn" },      { "he", "heb_Hebr" },    { "hi", "hin_Deva" },
    { "hr", "hrv_Latn" },      { "hu", "hun_Latn" },    { "hy", "hye_Armn" },
    { "id", "ind_Latn" },      { "it", "ita_Latn" },    { "ja", "jpn_Hira" },
    { "kmr", "kmr_Latn" },     { "ko", "kor_Hang" },    { "lb", "ltz_Latn" },
    { "lt", "lit_Latn" },      { "lv", "lav_Latn" },    { "mfa", "zsm_Latn" },
    { "mk", "mkd_Cyrl" },      { "mn", "khk_Cyrl" },    { "mr", "mar_Deva" },
    { "ms", "zsm_Latn" },      { "nb-NO", "nob_Latn" }, { "nl", "nld_Latn" },
    { "nn", "nno_Latn" },      { "pl", "pol_Latn" },    { "pt", "por_Latn" },
    { "pt-BR", "por_Latn" },   { "ro", "ron_Latn" },    { "ru", "rus_Cyrl" },
    { "sk", "slk_Latn" },      { "sl", "slv_Latn" },    { "sr-Cyrl", "srp_Cyrl" },
    { "sv", "swe_Latn" },      { "ta", "tam_Taml" },    { "te", "tel_Telu" },
    { "th", "tha_Thai" },      { "tr", "tur_Latn" },    { "uk", "ukr_Cyrl" },
    { "ur", "urd_Arab" },      { "vi", "vie_Latn" },    { "zh-CN", "zho_Hans" },
    { "zh-Hans", "zho_Hans" }, { "zh-TW", "zho_Hant" },
};

/* The row of code[0..n), or NULL. */
static const char *find(const char *code, size_t n)
{
    for (size_t i = 0; i < sizeof languages / sizeof *languages; i++)
        if (strlen(languages[i].code) == n && !memcmp(languages[i].code, code, n))
            return languages[i].flores;
    return NULL;
}

const char *task_flores_code(const char *language)
{
    const char *code = find(language, strlen(language));
    if (!code)
        code = find(language, strcspn(language, "-")); /* "de-AT": as "de" */
    if (code)
        return code;
    log_write(LOG_WARN, "language \"%.40s\" is not known, the text is taken for English", language);
    return "eng_Latn";
}
