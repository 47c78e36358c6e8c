/* SPDX-License-Identifier: Apache-2.0 */
/* Names of the demo's people, in the scripts that a door sees, with their spelling in addresses. */
#include "app/demo.h"

#include "base/assert.h"

#include <stdio.h>

struct word {
    const char *shown;
    const char *latin; /* for the e-mail address */
};

enum order_e { GIVEN_FIRST, FAMILY_FIRST, FAMILY_FIRST_CLOSED /* no space between */ };

struct tradition {
    enum order_e order;
    int share; /* of 100 people */
    struct word given[12];
    struct word family[12];
};

#define WORDS 12

static const struct tradition traditions[] = {
    {FAMILY_FIRST_CLOSED, 24,
     {{"민준", "minjun"}, {"서연", "seoyeon"}, {"도윤", "doyun"}, {"하은", "haeun"},
      {"지호", "jiho"}, {"수아", "sua"}, {"예준", "yejun"}, {"지우", "jiwoo"},
      {"현우", "hyunwoo"}, {"유나", "yuna"}, {"건우", "geonwoo"}, {"다은", "daeun"}},
     {{"김", "kim"}, {"이", "lee"}, {"박", "park"}, {"최", "choi"}, {"정", "jung"},
      {"강", "kang"}, {"조", "cho"}, {"윤", "yoon"}, {"장", "jang"}, {"임", "lim"},
      {"한", "han"}, {"오", "oh"}}},
    {GIVEN_FIRST, 30,
     {{"Olivia", "olivia"}, {"Noah", "noah"}, {"Amara", "amara"}, {"Liam", "liam"},
      {"Zoë", "zoe"}, {"Ethan", "ethan"}, {"Maya", "maya"}, {"Lucas", "lucas"},
      {"Chloé", "chloe"}, {"Owen", "owen"}, {"Freya", "freya"}, {"Jack", "jack"}},
     {{"Smith", "smith"}, {"Okafor", "okafor"}, {"O'Brien", "obrien"}, {"Taylor", "taylor"},
      {"Müller", "mueller"}, {"Dubois", "dubois"}, {"Rossi", "rossi"}, {"Jansen", "jansen"},
      {"Lindström", "lindstroem"}, {"Walker", "walker"}, {"Evans", "evans"}, {"Clark", "clark"}}},
    {GIVEN_FIRST, 10,
     {{"Sofía", "sofia"}, {"Mateo", "mateo"}, {"Lucía", "lucia"}, {"Diego", "diego"},
      {"Inés", "ines"}, {"João", "joao"}, {"Camila", "camila"}, {"Andrés", "andres"},
      {"Beatriz", "beatriz"}, {"Tomás", "tomas"}, {"Paula", "paula"}, {"Íñigo", "inigo"}},
     {{"García", "garcia"}, {"Muñoz", "munoz"}, {"Silva", "silva"}, {"Fernández", "fernandez"},
      {"Gonçalves", "goncalves"}, {"Núñez", "nunez"}, {"Castro", "castro"}, {"Ibáñez", "ibanez"},
      {"Pereira", "pereira"}, {"Vega", "vega"}, {"López", "lopez"}, {"Araújo", "araujo"}}},
    {FAMILY_FIRST, 10,
     {{"陽菜", "hina"}, {"蓮", "ren"}, {"結衣", "yui"}, {"大翔", "hiroto"}, {"葵", "aoi"},
      {"悠真", "yuma"}, {"さくら", "sakura"}, {"湊", "minato"}, {"美咲", "misaki"},
      {"健太", "kenta"}, {"莉子", "riko"}, {"ユウキ", "yuki"}},
     {{"佐藤", "sato"}, {"鈴木", "suzuki"}, {"高橋", "takahashi"}, {"田中", "tanaka"},
      {"伊藤", "ito"}, {"渡辺", "watanabe"}, {"山本", "yamamoto"}, {"中村", "nakamura"},
      {"小林", "kobayashi"}, {"加藤", "kato"}, {"吉田", "yoshida"}, {"山田", "yamada"}}},
    {FAMILY_FIRST_CLOSED, 8,
     {{"伟", "wei"}, {"芳", "fang"}, {"秀英", "xiuying"}, {"敏", "min"}, {"静", "jing"},
      {"丽", "li"}, {"强", "qiang"}, {"磊", "lei"}, {"洋", "yang"}, {"艳", "yan"},
      {"浩然", "haoran"}, {"雨涵", "yuhan"}},
     {{"王", "wang"}, {"李", "li"}, {"张", "zhang"}, {"刘", "liu"}, {"陈", "chen"},
      {"杨", "yang"}, {"黄", "huang"}, {"赵", "zhao"}, {"吴", "wu"}, {"周", "zhou"},
      {"徐", "xu"}, {"孙", "sun"}}},
    {GIVEN_FIRST, 6,
     {{"Анна", "anna"}, {"Дмитро", "dmytro"}, {"Мария", "maria"}, {"Иван", "ivan"},
      {"Олена", "olena"}, {"Сергей", "sergey"}, {"Ксения", "ksenia"}, {"Богдан", "bohdan"},
      {"Елена", "elena"}, {"Георги", "georgi"}, {"Наталья", "natalya"}, {"Юрій", "yuriy"}},
     {{"Коваль", "koval"}, {"Петрова", "petrova"}, {"Шевченко", "shevchenko"},
      {"Соколова", "sokolova"}, {"Мельник", "melnyk"}, {"Димитров", "dimitrov"},
      {"Бойко", "boyko"}, {"Орлова", "orlova"}, {"Лысенко", "lysenko"}, {"Гончар", "honchar"},
      {"Ткач", "tkach"}, {"Волкова", "volkova"}}},
    {GIVEN_FIRST, 6,
     {{"محمد", "mohammed"}, {"فاطمة", "fatima"}, {"يوسف", "youssef"}, {"مريم", "maryam"},
      {"عمر", "omar"}, {"ليلى", "layla"}, {"أحمد", "ahmed"}, {"نور", "nour"}, {"خالد", "khaled"},
      {"سارة", "sara"}, {"علي", "ali"}, {"هدى", "huda"}},
     {{"حداد", "haddad"}, {"منصور", "mansour"}, {"خليل", "khalil"}, {"النجار", "alnajjar"},
      {"صالح", "saleh"}, {"عباس", "abbas"}, {"فارس", "fares"}, {"حسن", "hassan"},
      {"سليمان", "suleiman"}, {"الخطيب", "alkhatib"}, {"رضا", "reda"}, {"ناصر", "nasser"}}},
    {GIVEN_FIRST, 6,
     {{"आरव", "aarav"}, {"अनन्या", "ananya"}, {"विवान", "vivaan"}, {"दिया", "diya"},
      {"अर्जुन", "arjun"}, {"प्रिया", "priya"}, {"रोहन", "rohan"}, {"नेहा", "neha"},
      {"कबीर", "kabir"}, {"मीरा", "meera"}, {"ईशान", "ishaan"}, {"तारा", "tara"}},
     {{"शर्मा", "sharma"}, {"पटेल", "patel"}, {"सिंह", "singh"}, {"गुप्ता", "gupta"},
      {"वर्मा", "verma"}, {"मेहता", "mehta"}, {"जोशी", "joshi"}, {"राव", "rao"},
      {"नायर", "nair"}, {"मिश्रा", "mishra"}, {"यादव", "yadav"}, {"दास", "das"}}},
};

/* Spreads neighbours over the tables: a fixed permutation would show as a pattern in a list. */
static uint64_t mix(uint64_t x) {
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

static const struct tradition *tradition_of(uint64_t share) {
    size_t i = 0;
    while (share >= (uint64_t)traditions[i].share) {
        share -= (uint64_t)traditions[i].share;
        i++;
        ASSERT(i < sizeof traditions / sizeof traditions[0]); /* the shares add up to 100 */
    }
    return &traditions[i];
}

void demo_person(int number, struct demo_person *ret_person) {
    ASSERT(number >= 1 && number <= DEMO_PARTICIPANTS);
    uint64_t luck = mix((uint64_t)number);
    const struct tradition *tradition = tradition_of(luck % 100);
    const struct word *given = &tradition->given[luck / 100 % WORDS];
    const struct word *family = &tradition->family[luck / 100 / WORDS % WORDS];
    bool given_first = tradition->order == GIVEN_FIRST;
    snprintf(ret_person->token, sizeof ret_person->token, "demo-%06d", number);
    snprintf(ret_person->name, sizeof ret_person->name, "%s%s%s",
             given_first ? given->shown : family->shown,
             tradition->order == FAMILY_FIRST_CLOSED ? "" : " ",
             given_first ? family->shown : given->shown);
    snprintf(ret_person->email, sizeof ret_person->email, "%s.%s.%06d@example.com", given->latin,
             family->latin, number);
}
